"""Encoders of tables and omics data."""
