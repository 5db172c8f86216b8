"""PENGUIN as a benchmark: profiles and queries made, files checked, what single attributes are worth."""
