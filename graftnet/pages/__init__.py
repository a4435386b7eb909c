"""Pages of a project: write them, and the record over all attributes."""
