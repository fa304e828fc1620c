"""The folder that holds a model and all that is known about it."""
