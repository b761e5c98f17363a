"""Encoders of text by language models."""
