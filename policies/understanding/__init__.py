"""From what a person writes to what it means: readers and detectors."""
