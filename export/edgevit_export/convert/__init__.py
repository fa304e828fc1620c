"""From torch to ONNX, checked."""
