"""Bundles and pictures on their way to a device and back: every file once, under its hash."""
