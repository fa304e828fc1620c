"""Commands that measure: bench, profile, report."""
