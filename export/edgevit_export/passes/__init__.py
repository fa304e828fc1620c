"""Graph rewrites, one a file: formula first, and each says whether it changed anything."""
