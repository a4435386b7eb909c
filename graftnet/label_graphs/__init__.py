"""Label graphs of a project: plan, run, compare."""
