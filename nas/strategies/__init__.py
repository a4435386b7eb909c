"""Search strategies beside ENAS, by name."""
