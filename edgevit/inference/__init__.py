"""What a runtime looks like from outside, and how its answers are read and compared."""
