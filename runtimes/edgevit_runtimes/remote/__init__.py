"""Another machine over OpenSSH: its address, its setup, bundles sent to it, runs on it."""
