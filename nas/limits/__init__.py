"""Limits of a search: parameters, multiply-accumulates, latency."""
