"""The methods of an evaluation and the conversations they lead."""
