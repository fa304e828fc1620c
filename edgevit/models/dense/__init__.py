"""Heads that answer about places in a picture, on the maps of a backbone."""
