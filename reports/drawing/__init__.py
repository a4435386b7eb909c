"""Architectures drawn: the branch, its cells, and where it is grafted."""
