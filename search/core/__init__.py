"""Compiled code that knows of numbers alone: graph search, linear algebra, the saturating link."""
