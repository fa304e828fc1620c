"""Models of the zoo for tests: exported, quantized, and read as a native file without the engine."""
