"""Pretraining of networks over rasters, signals, images and volumes, by methods that need no outcome."""
