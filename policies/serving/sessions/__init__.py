"""Stored conversations and limits that all workers share."""
