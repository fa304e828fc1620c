"""What machine is this, and how is it doing: processor, clocks, sensors, power."""
