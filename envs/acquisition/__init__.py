"""Behind the Gymnasium environment: the rules, its arguments, and its parts by name or file."""
