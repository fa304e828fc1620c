"""Commands about machines: devices, doctor."""
