"""Processes that are killed while they change files, and what is left of the files."""
