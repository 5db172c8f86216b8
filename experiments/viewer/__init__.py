"""Browses the folder of a run: what `raise-planner view` serves."""
