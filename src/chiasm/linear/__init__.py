"""Convex and tree-based predictors that read features, and their solvers."""
