"""Optuna studies: freeze depth with branch recipe, and the label graph's settings."""
