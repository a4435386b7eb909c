"""Stages of a job that stand by themselves: their names, and what is taken over from other jobs."""
