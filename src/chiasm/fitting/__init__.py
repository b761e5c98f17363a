"""Building blocks that all recipes share: the base class, the neural-network skeleton and the fitted model."""
