"""A model on this machine, by llama.cpp on loopback."""
