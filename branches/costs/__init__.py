"""Costs of a branch: parameters, multiply-accumulates, latency."""
