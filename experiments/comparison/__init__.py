"""Compares searches on problems whose truth is known."""
