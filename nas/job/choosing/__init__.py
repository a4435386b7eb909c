"""Choosing by val: the winner among the retrained, and the result among all kinds."""
