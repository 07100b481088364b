"""Reports: plain data in, one HTML file out that needs nothing beside it."""
