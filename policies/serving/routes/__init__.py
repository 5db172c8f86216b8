"""The routes of the web service."""
