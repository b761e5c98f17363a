"""Patients that never were, and modalities that a patient lacks: generators of tables, what they give away and keep."""
