"""Training of models that answer about places: segmentation and detection."""
