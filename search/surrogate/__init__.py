"""Surrogates of a judge: learned from few scores, they say which set to score next."""
