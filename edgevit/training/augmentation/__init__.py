"""Random views of training pictures."""
