"""Encoders of images, volumes and slides."""
