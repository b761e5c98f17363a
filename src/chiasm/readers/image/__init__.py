"""Readers of images, volumes and slides."""
