"""edgevit: superpixel and less-attention vision transformers, from a checkpoint to the edge.

Importing this package is free: no torch, no onnxruntime, no OpenCV.
"""

__version__ = "0.1.0"
