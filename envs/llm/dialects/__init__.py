"""How endpoints differ: what a model takes, the routes it has, the words in which it refuses."""
