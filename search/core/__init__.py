"""Compiled graph search: the tree as arrays, and its kernels."""
