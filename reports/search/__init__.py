"""The page of one search, section by section, and the page that compares two."""
