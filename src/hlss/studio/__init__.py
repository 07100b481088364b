"""Web apps, served to this machine only."""
