"""The models by name: specifications, registry, shipped weights. Importable without torch."""
