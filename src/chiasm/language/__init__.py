"""Models that talk: their stages of training, prompts, preferences and conversations."""
