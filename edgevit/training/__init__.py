"""Training on an image folder. Needs the ``train`` extra."""
