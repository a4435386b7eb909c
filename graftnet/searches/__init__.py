"""Searches of a project: plan, features, run, queue, renew."""
