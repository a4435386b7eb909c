"""Audit a search: ranking of shared weights, gain over random, collapse, cost."""
