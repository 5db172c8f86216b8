"""What every command line shares: its keys, its help and completion, its errors and exit codes."""
