"""Image files as they lie on disk, and what is remembered of them."""
