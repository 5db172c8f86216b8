"""What a command line is told: the text of `--help`, from where it comes, and completion."""
