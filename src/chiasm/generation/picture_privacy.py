"""What drawn pictures give away of those that their generator was fitted to: copies, memorised ones, membership."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]
from torch import Tensor

from chiasm.generation.distances import nearest
from chiasm.generation.picture_likeness import Encoder, pixels, untrained
from chiasm.generation.privacy import LIMITS, Measure, auroc, difference, nearer

Array = NDArray[np.float64]
MEMORISED = 0.05
NEIGHBOURS = 20
RARELY = 0.01
"""Share of real pictures of others that are as near to one of the training set as what counts as memorised."""
SAME = 1.0 / 255
PART = 512


def picture_measures(
    name: str, train: Tensor, held: Tensor, made: Tensor, encoder: Encoder = untrained
) -> tuple[Measure, ...]:
    """Compare drawn pictures with training ones and with pictures held out, in pixels and in an encoder's space.

    A drawn picture is memorised where its nearest training picture is nearer than the mean of the 20 that follow by a
    ratio that one in a hundred real pictures has to other training ones (after Carlini et al. 2023, arXiv 2301.13188).

    Args:
        train, held, made: pictures `(n, C, ...)` in -1 to 1.
    """
    flat, real, drawn = (np.asarray(own.flatten(1).numpy()) for own in (train, held, made))
    copied, by_chance = same(drawn, flat), np.concatenate([same(real, flat), same(flat, flat, others=True)])
    measures = [
        Measure(f"{name}: copies", f"the share of drawn pictures of '{name}' that are a training picture in every "
                "pixel, beyond that of real pictures", *difference(copied, by_chance), 0.0, LIMITS["copies"])
    ]  # fmt: skip
    for space, features in (("pixels", pixels), ("features", encoder)):
        inside, outside, made_of = (features(own) for own in (train, held, made))
        spread = inside.std(0) + 1e-9 if space == "features" else np.ones(1)
        inside, outside, made_of = inside / spread, outside / spread, made_of / spread
        real_ratios = np.concatenate([ratios(outside, inside), ratios(inside, inside, others=True)])
        least = np.quantile(real_ratios, RARELY)
        memorised = ratios(made_of, inside) < least
        where = f"of '{name}' in {space}"
        measures += [
            Measure(f"{name}: memorised, {space}", f"the share of drawn pictures {where} that one training picture "
                    "stands behind, beyond that of real pictures", *difference(memorised, real_ratios < least),
                    0.0, MEMORISED),
            Measure(f"{name}: nearest, {space}", f"the share of drawn pictures {where} nearest to a training picture "
                    "and to none held out, beyond chance", *nearer(made_of, inside, outside), 0.0, LIMITS["nearest"]),
            Measure(f"{name}: membership, {space}", "the AUROC of whose picture was in the training set, by the "
                    f"distance to the nearest drawn one {where}",
                    *auroc(-nearest(inside, made_of)[0], -nearest(outside, made_of)[0]), 0.5, LIMITS["membership"]),
        ]  # fmt: skip
    return tuple(measures)


def ratios(features: Array, among: Array, others: bool = False) -> Array:
    """`(n,)` distance to the nearest of N, by the mean of the 20 after it: near 0 where one stands out.

    Args:
        others: the n are the N themselves, and none is his own neighbour.
    """
    found, skip = [], int(others)
    most = min(NEIGHBOURS + 1 + skip, len(among))
    for start in range(0, len(features), PART):
        between = cdist(features[start : start + PART], among)
        near = np.sort(np.partition(between, most - 1, axis=1)[:, :most], axis=1)[:, skip:]
        found.append(near[:, 0] / np.maximum(near[:, 1:].mean(axis=1), 1e-12))
    return np.concatenate(found) if found else np.zeros(0)


def same(pictures: NDArray[np.float32], among: NDArray[np.float32], others: bool = False) -> NDArray[np.bool_]:
    """`(n,)` whether a picture is another in every pixel, but for what eight bits round."""
    found = np.zeros(len(pictures), dtype=bool)
    for start in range(0, len(pictures), PART):
        between = cdist(pictures[start : start + PART], among, "chebyshev")
        if others:
            between[np.arange(len(between)), start + np.arange(len(between))] = np.inf
        found[start : start + PART] = (between <= SAME).any(axis=1)
    return found
