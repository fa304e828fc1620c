"""What the workflows do differently for segmentation and detection."""
