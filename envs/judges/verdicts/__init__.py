"""What a judge's reply gives: three levels, or none where that is not clear."""
