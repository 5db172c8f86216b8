"""Running many plans: threads, processes, Ray."""
