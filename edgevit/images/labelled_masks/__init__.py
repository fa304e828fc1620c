"""Pictures with a label for every pixel."""
