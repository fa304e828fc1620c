"""Training with all data in the device's memory: decoded once, augmented there.

For one GPU and short leases. Needs torch, numpy and OpenCV, and nothing else of what
``edgevit train`` needs; ``benchmarks/training/train_zoo_gpu.py`` is its command.
"""
