"""Reports of an evaluation: figures, tables, sentences, one HTML page."""
