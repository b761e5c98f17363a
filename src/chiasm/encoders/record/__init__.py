"""Encoders of event records."""
