"""What `graftnet data` calls: imports, mining, persons."""
