"""Bundles that nobody here made: opened in a process with limits first, or trusted."""
