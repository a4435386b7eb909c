"""Serve a bundle over HTTP, as `graftnet serve` does. Needs the extra `serve`, and no torch."""
