"""What every page is made of: sections, tables and pictures, numbers in words, colours, one template."""
