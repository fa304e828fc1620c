"""Reading what comes from outside: bounded, and made harmless."""
