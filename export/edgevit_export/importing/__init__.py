"""ONNX files of any exporter as bundles: the preprocessing goes into the graph."""
