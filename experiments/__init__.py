"""Hydra entry points: train, inspect, benchmark."""
