"""INT8: calibration, a rewrite for every target, and a gate on accuracy."""
