"""What a fitted model answers when it is asked in plain words about a patient, or about itself."""
