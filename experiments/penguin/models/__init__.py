"""Target models under all conditions: scores, tables, figures."""
