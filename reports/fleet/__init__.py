"""The page over all attributes."""
