"""Compiled code for populations, in files of their own, for Numba takes long to import."""
