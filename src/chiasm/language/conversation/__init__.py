"""Synthetic patients to talk with: a persona, the states it goes through, the conversation, and a rubric for it."""
