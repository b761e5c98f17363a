"""One file per way of combining the tokens of the modalities present."""
