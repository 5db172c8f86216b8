"""PENGUIN for inspect_ai (extra `inspect`): task, solvers and scorer."""
