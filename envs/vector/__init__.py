"""Many environments of attribute acquisition stepped at once. Imported lazily: it imports Numba."""
