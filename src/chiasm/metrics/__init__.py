"""Metrics as pure functions on arrays, one file a kind of target; every one is drawn again by weights of patients."""
