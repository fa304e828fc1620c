"""How this edgevit was installed, and the commands that add to it."""
