"""Behind the Gymnasium environment: the rules, its arguments, parts by name, and how it is registered."""
