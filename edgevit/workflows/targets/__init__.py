"""How a bundle is compiled for each runtime: one file a runtime."""
