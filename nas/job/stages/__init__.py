"""Stages of a job: its plan and budget, the learning curve, and cross-validation where val is small."""
