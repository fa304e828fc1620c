"""Masks and boxes: back to the picture, how good they are, whether two runners give the same."""
