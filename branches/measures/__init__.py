"""Measure scores: metrics, curves, calibration. numpy only."""
