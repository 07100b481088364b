"""Image and text towers behind two small interfaces."""
