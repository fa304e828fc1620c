"""Pictures in tar and zip archives, read where they lie."""
