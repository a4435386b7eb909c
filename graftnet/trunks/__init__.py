"""The trunks of a project: versions, and the one in use."""
