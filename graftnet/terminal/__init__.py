"""How a command speaks: answers, tables, progress, failures."""
