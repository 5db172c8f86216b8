"""What a judge is like over a set of scenarios."""
