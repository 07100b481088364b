"""What the command line calls: one function a command, each putting the rooms together."""
