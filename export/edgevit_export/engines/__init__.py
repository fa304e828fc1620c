"""From a bundle's ONNX files to what a runtime loads fastest."""
