"""Evaluates policies on people they were not planned for."""
