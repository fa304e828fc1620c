"""What a person wants done, each a function: the only place that joins export and runtimes."""
