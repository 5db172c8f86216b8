"""The endpoint that answers, and what becomes of its answers on the way back."""
