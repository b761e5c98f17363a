"""Pretraining of an encoder on a cohort's own values, without outcomes: its stages, and what they leave."""
