"""Models of the zoo for tests: exported, quantized, read as a native file without the engine."""
