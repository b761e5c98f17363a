"""Vectors of patients from any encoder, and what is learned of them: nearest neighbours and linear probes."""
