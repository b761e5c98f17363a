"""Encoders of proteins, DNA, molecules and any other sequence of letters."""
