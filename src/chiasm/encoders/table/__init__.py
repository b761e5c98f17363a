"""Encoders of tables and of omics."""
