"""Encoders of molecules and of single cells."""
