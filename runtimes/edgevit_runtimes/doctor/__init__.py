"""What a machine is, what it is ready for, and the command that installs what is missing."""
