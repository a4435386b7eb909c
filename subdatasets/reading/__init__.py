"""Read sub-datasets as they lie on disk: rows, forms, tables, and what is wrong with them."""
