"""What an evaluation says: figures, tables, sentences, one HTML page."""
