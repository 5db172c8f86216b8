"""Whether a judge can be trusted: agreement, ratings of files, human labels, audits."""
