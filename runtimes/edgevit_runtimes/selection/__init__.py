"""Which variant of a model is used on a machine."""
