"""Models in use: pictures, files and feeds in, predictions out."""
