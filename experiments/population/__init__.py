"""Compares plans for people whose profile nobody knows."""
