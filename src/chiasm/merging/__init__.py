"""Merging of model weights and latents without data or training, by pure functions."""

from chiasm.merging.latents import LATENT_METHODS, MERGES, merge_latents
from chiasm.merging.methods import METHODS, Method, make_method, merge_models
from chiasm.merging.states import merge_states
from chiasm.merging.tensors import linear_mean, spherical_mean

__all__ = [
    "LATENT_METHODS",
    "MERGES",
    "METHODS",
    "Method",
    "linear_mean",
    "make_method",
    "merge_latents",
    "merge_models",
    "merge_states",
    "spherical_mean",
]
