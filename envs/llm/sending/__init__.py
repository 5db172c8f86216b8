"""One request over HTTP: sent, repeated where that helps, its reply parsed, whole or as it streams."""
