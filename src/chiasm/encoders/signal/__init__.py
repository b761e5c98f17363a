"""Encoders of signals and ECGs."""
