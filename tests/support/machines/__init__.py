"""Machines that are not at hand: stand-ins, recordings, an emulated one, this one over SSH."""
