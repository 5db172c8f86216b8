"""What plans for unknown people gain."""
