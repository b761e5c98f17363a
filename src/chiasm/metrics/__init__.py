"""Metrics as pure functions on arrays, one file per kind of target; each takes bootstrap weights of the patients."""
