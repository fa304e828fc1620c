"""What goes into a model and comes out: all that who only runs one needs to know of it."""
