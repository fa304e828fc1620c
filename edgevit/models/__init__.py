"""The torch modules. Import this only where torch is installed (training, export)."""
