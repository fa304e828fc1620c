"""Runs and measures bundles on the device: no torch, no onnx."""
