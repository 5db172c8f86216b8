"""Judges: the protocol and those that ship with the package."""
