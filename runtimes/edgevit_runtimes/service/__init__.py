"""edgevit as a systemd service: starts with the device, and again after an error."""
