"""Answers for sets of any number of pictures, on one machine or on a Ray cluster."""
