"""The ground that every room stands on: files, folders, histories, locks, progress, provenance and errors; no torch."""
