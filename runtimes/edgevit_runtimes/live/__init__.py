"""Answers about a feed as it comes: the newest frame, its latency, its picture, its page."""
