"""Grafts and bundles of a project, and rules on them."""
