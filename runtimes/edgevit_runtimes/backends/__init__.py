"""One runner, and one profiler, for each runtime."""
