"""From a torch module to a bundle: trace, simplify, check. Runs on a workstation."""
