"""Records of one search as clean values: methods, curves, candidates, thresholds. No drawing."""
