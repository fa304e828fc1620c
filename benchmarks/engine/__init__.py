"""What the comparison of the native engine is made of."""
