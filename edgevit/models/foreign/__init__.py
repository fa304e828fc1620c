"""Checkpoints of other libraries: their names and shapes of weights, turned into the zoo's."""
