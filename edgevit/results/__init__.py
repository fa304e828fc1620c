"""Results of measurements: read, compared, drawn."""
