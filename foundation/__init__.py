"""What every run writes: files, folders, histories, locks, progress, provenance, errors. No torch."""
