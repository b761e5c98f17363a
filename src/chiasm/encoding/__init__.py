"""Preparation of a cohort, done once: read the files, run the encoders, keep the tokens, report what is unreadable."""
