"""Methods of an evaluation and their conversations."""
