"""Embedding or features to prediction, and its loss, one file per kind of target."""
