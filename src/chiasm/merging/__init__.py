"""Pure functions: weights in, weights out; latents in, latents out. No data, no training."""

from chiasm.merging.latents import LATENT_METHODS, merge_latents
from chiasm.merging.tensors import linear_mean, merge_states, spherical_mean

__all__ = ["LATENT_METHODS", "linear_mean", "merge_latents", "merge_states", "spherical_mean"]
