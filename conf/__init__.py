"""Hydra configuration files, packaged with the code."""
