"""Optuna studies of a project: plan, run, apply."""
