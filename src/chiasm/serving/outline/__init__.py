"""A page on which label maps are drawn over HTTP: an image is opened, drawn in, corrected, and its map saved."""
