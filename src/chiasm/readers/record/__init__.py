"""Readers of event records."""
