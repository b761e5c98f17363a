"""Label maps of images: networks that draw them, the patches that these are trained on, and the windows they read."""
