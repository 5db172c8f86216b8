"""Checks of what others wrote: settings and files against types, JSON values, what plug-ins declare."""
