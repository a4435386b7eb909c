"""Bundles at work: write them, check them, predict with them."""
