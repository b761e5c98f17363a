"""Encoders of images, volumes and whole-slide images."""
