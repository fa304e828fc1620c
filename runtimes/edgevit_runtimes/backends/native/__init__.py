"""edgevit's own engine, libedgevit: its library by ctypes, and its runner."""
