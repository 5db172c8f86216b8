"""Online policies: which question next, and when to stop (they read path tables, never run a search)."""
