"""The web page of a feed."""
