"""How the nodes of an ONNX graph become operations of a plan: one kind of node a file."""
