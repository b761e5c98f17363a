"""What a run answers when it is asked in plain words: its own numbers only, each with where it stands."""
