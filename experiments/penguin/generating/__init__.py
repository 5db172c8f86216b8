"""Profiles by the published graph, queries by a grammar or a model, checked, described and written."""
