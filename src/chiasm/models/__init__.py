"""Merging of fitted models, without training."""
