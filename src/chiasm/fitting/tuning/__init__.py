"""Tuning of a recipe's options on inner folds of its training patients, as a recipe of its own."""
