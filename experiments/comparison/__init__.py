"""Searches held against each other on problems whose truth is known."""
