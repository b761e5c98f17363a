"""Encoders of proteins and DNA."""
