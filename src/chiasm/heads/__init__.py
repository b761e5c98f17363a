"""Prediction heads of each kind of target: from an embedding or link to a prediction, and its loss."""
