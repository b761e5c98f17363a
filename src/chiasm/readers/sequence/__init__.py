"""Readers of sequences, text, molecules and cells."""
