"""Train the trunk: dynamic graph, multi-label, INDeeD; one loop, one or many ranks."""
