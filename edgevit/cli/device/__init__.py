"""Commands about machines: devices, doctor, kernel."""
