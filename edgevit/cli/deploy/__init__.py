"""Commands that deploy a model: export, quantize, compile, inspect, verify, run."""
