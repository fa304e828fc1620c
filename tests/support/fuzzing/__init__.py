"""Hostile files of every kind that edgevit reads, and what it makes of them."""
