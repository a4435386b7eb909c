"""Persons cut out of scenes, by masks on disk or Mask R-CNN."""
