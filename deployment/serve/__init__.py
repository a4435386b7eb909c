"""A bundle behind HTTP: `graftnet serve`. Needs the extra `serve`, and no torch."""
