"""Bits a spike: how much better counts are foreseen than by the mean rates of training."""

from __future__ import annotations

import numpy as np

from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, ratio

HALF = 0.5  # spikes in all training items: a lower rate is taken for this one


def terms(scored: Scored) -> Floats:
    """`(n, 2)` each item's gain of log likelihood over the training rates, in nats, and its number of spikes.

    The gain is `sum_v y log(p / q) - (p - q)` over channels, p the prediction and q the mean of the training items,
    each no less than half a spike in all training items together: a Poisson rate of zero or below has no likelihood.
    NaN where the response, or that of training, is no count.
    """
    value, train = scored.outcome.value, scored.train
    if train is None or not len(train.value) or not (_counts(value) and _counts(train.value)):
        return np.full((len(value), 2), np.nan)
    least = HALF / len(train.value)
    mean = np.maximum(train.value.mean(axis=0), least)
    said = np.maximum(scored.prediction, least)
    gain = (value * np.log(said / mean) - (said - mean)).sum(axis=1)
    return np.stack([gain, value.sum(axis=1)], axis=1)


def bits_per_spike(terms: Floats, weights: Floats) -> Floats:
    """`(R,)` sum of gains over sum of spikes, in bits; zero says no more than the training rates, below zero less.

    Source: Brenner et al., Neural Computation 2000, https://doi.org/10.1162/089976600300015259, equation 2.5, of which
    this is the estimate by a model's rates.
    """
    return np.asarray(ratio(weights @ terms[:, 0], weights @ terms[:, 1]) / np.log(2))


def _counts(values: Floats) -> bool:
    """True if all are whole numbers from zero."""
    return bool((values >= 0).all() and (values == np.floor(values)).all())
