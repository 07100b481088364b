"""What a slide is and where to look: files of slides, read at any resolution; tissue; the grid of tiles."""
