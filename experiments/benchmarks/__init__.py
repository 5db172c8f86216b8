"""Models and tables of the benchmark commands."""
