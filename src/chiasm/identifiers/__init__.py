"""The screen for what may name a patient: its kinds, the rules that find them, and one file a kind of place."""
