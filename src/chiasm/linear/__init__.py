"""Convex and tree-based predictors of features, and their solvers."""
