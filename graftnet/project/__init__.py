"""A project on disk: folder, graftnet.toml, settings, machine."""
