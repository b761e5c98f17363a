"""What every recipe stands on: its base, the skeleton of a network recipe, and the model that `fit` gives."""
