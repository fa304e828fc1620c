"""From an ONNX model to the plan that edgevit's own runtime executes (docs/native.md)."""
