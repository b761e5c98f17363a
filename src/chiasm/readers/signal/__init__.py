"""Readers of signals and ECGs."""
