"""One file for each framework of other people; copy it, or import it where this package is installed."""
