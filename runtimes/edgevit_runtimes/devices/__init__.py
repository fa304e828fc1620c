"""What machine is this: processor, clocks, governor, memory."""
