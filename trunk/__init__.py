"""Images to features: the frozen trunk that every branch shares."""
