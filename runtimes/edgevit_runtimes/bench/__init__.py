"""Measuring latency, memory and energy in fresh processes."""
