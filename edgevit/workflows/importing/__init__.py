"""Models that were not made here, as bundles."""
