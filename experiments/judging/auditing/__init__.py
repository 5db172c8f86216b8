"""What a judge is asked in an audit, and what its answers show."""
