"""What an encoder sees, in words, and whether that is so."""
