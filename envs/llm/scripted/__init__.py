"""A server without a model for tests and benchmarks: what it says is SIMULATED."""
