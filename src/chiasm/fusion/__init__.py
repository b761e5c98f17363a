"""Fusion of the tokens of the modalities present, one file per method."""
