"""Recipes: one file per published system, wired from shared parts, with its paper; `registry` finds them by name."""
