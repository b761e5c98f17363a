"""Small networks over rasters, arrays on a grid of one, two or three axes: signals, images, volumes."""
