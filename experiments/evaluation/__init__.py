"""What policies are worth for people whose profile they were not planned for: methods, scores, statistics."""
