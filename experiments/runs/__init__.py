"""What every command shares: configuration, objects, journal, provenance, tracking, summary."""
