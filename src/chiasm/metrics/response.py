"""Metrics of predicted responses, and how much of them repetitions say that anybody could predict.

Every function takes `prediction` and `value`, both (n, V), items by channels, and `weights` (R, n) or None (see
`weighted.as_weights`); `channel_...` return (R, V), one value a draw and channel, and the others (R,), over channels.
NaN is what cannot be estimated: a channel that is constant among the items drawn, and a mean where no channel is left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics.scored import Scored
from chiasm.metrics.similarity import two_versus_two
from chiasm.metrics.weighted import Floats, as_weights, ratio
from chiasm.metrics.within import Strata

FLAT = 1e-12  # relative variance below which a channel is constant


def channel_r2(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """R2 of each channel: 1 - squared error / squared deviation from the mean of the same items, n of them.

    A draw is linear in its counts, `1 - SSE / SS` about that of all n items. The ratio of its own sums would be too low
    by the order of 1 / n, which is little beside the width of one channel's interval, and more than that of a mean
    over many. Equals `sklearn.metrics.r2_score(multioutput="raw_values")`, which gives 0 or 1 for a constant channel.
    """
    guess, truth, w = _inputs(prediction, value, weights)
    return 1 - _linear_ratio((guess - truth) ** 2, truth, w)


def channel_r(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Pearson's correlation of each channel over items; NaN where the prediction or the response is constant."""
    guess, truth, w = _inputs(prediction, value, weights)
    guess, truth = guess - guess.mean(axis=0), truth - truth.mean(axis=0)
    total = w.sum(axis=1)[:, None]
    product = w @ (guess * truth) - (w @ guess) * ratio(w @ truth, total)
    return np.clip(ratio(product, np.sqrt(_about_mean(guess, w) * _about_mean(truth, w))), -1.0, 1.0)


def r2(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean of `channel_r2` over channels."""
    return _mean(channel_r2(prediction, value, weights))


def pearson(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Mean of `channel_r` over channels; a channel that is predicted by a constant counts as a correlation of zero.

    Else a model would gain by saying nothing of the channels that it predicts badly.
    """
    guess, truth, w = _inputs(prediction, value, weights)
    found, told = channel_r(guess, truth, w), _about_mean(truth, w) > 0
    return ratio(np.where(told, np.nan_to_num(found), 0.0).sum(axis=1), told.sum(axis=1))


def two_v_two(scored: Scored, weights: Floats) -> Floats:
    """2V2 accuracy of channels in units of the training items: less their mean, and by their spread."""
    if scored.train is None or not len(scored.train.value):
        return np.full(len(weights), np.nan)
    centre, spread = scored.train.value.mean(axis=0), scored.train.value.std(axis=0)
    some = spread > 0
    said, value = ((own - centre)[:, some] / spread[some] for own in (scored.prediction, scored.outcome.value))
    return two_versus_two(said, value, weights)


def explained_of_explainable(scored: Scored, weights: Floats) -> Floats:
    """Held-out variance explained, of what can be explained: sum of R2 over sum of the explainable share, of channels.

    With SS a channel's squared deviations from its mean and N what noise adds to them, R2 = (SS - SSE) / SS and the
    share is (SS - N) / SS; noise is the variance between repetitions by their number (`noise_of_mean`). One where a
    model says all but noise. NaN without repetitions, and where there is nothing but noise. Source: Sahani and Linden,
    NeurIPS 2002, whose signal power is (SS - N) / (n - 1). They divide channel by channel, which a channel of little
    signal dominates: here both are summed first.
    """
    value = scored.outcome.value
    noise = noise_of_mean(scored.outcome.repeats)
    if noise is None:
        return np.full(len(weights), np.nan)
    told = 1 - _linear_ratio((scored.prediction - value) ** 2, value, weights)
    held = ~np.isnan(noise)
    mean_noise = ratio(np.where(held, noise, 0.0).sum(axis=0), held.sum(axis=0))
    n = len(value)
    share = 1 - _linear_ratio(np.where(held, noise, mean_noise) * (n - 1) / max(n, 1), value, weights)
    both = np.isfinite(told) & np.isfinite(share)
    above, below = (np.where(both, own, 0.0).sum(axis=1) for own in (told, share))
    return ratio(above, np.where(below > 0, below, 0.0))


def noise_of_mean(repeats: Floats | None) -> Floats | None:
    """Variance (n, V) of each item's mean over its repetitions (n, R, V): their variance by their number.

    NaN for an item of one repetition; None where there are no repetitions.
    """
    if repeats is None:
        return None
    there = ~np.isnan(repeats)
    number = there.sum(axis=1)
    mean = ratio(np.where(there, repeats, 0.0).sum(axis=1), number)
    square = np.where(there, repeats - mean[:, None, :], 0.0) ** 2
    return ratio(square.sum(axis=1), np.where(number > 1, number * (number - 1.0), 0.0))


def losses(scored: Scored) -> Floats:
    """Squared error, and that of the mean of the training items, (n, 2), by channels in units of their training spread.

    Both are means over the channels that differ in training.
    """
    value, train = scored.outcome.value, scored.train
    if train is None or not len(train.value):
        return np.full((len(value), 2), np.nan)
    mean, spread = train.value.mean(axis=0), train.value.std(axis=0)
    some = spread > 0
    both = (((own - value)[:, some] / spread[some]) ** 2 for own in (scored.prediction, mean[None, :]))
    return np.stack([own.mean(axis=1) if own.size else np.full(len(value), np.nan) for own in both], axis=1)


def r2_within(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Mean over channels of one minus squared errors over squared responses, both about the mean of their stratum."""
    error, value = scored.outcome.value - scored.prediction, scored.outcome.value
    squares, spread = (np.zeros((len(w), value.shape[1])) for _ in range(2))
    own = strata[:, 0]
    for stratum in np.unique(own[own >= 0]):
        rows = np.flatnonzero(own == stratum)
        if len(rows) > 1:
            squares += _about_mean(error[rows], w[:, rows], flat=0.0)
            spread += _about_mean(value[rows], w[:, rows])
    return _mean(1 - ratio(squares, spread))


def _linear_ratio(square: Floats, value: Floats, w: Floats) -> Floats:
    """Sum of squares (n, V) over the squared deviations of the values from their mean, (R, V); linear in the weights.

    With q and s the two sums over all items, and q_w and s_w those of a draw: `(q_w - (q / s)(s_w - s)) / s`.
    """
    everyone, apart = np.ones((1, len(value))), (value - value.mean(axis=0)) ** 2
    total = np.where(_about_mean(value, everyone) > 0, apart.sum(axis=0), 0.0)  # (1, V)
    drawn = w * ratio(len(value), w.sum(axis=1))[:, None]
    whole = ratio(square.sum(axis=0), total)
    return ratio(drawn @ square - whole * (drawn @ apart - total), total)


def _about_mean(values: Floats, w: Floats, flat: float = FLAT) -> Floats:
    """Weighted sum of squares about the weighted mean, (R, V); zero where all that is drawn is alike."""
    size = np.abs(values).max(axis=0, initial=0.0)
    values = values - values.mean(axis=0)  # keeps precision when the mean is large
    total = w.sum(axis=1)[:, None]
    found = w @ values**2 - ratio((w @ values) ** 2, total)
    return np.where(found > flat * total * size**2, found, 0.0)


def _mean(values: Floats) -> Floats:
    """Mean over the channels that have a value, (R,)."""
    told = np.isfinite(values)
    return ratio(np.where(told, values, 0.0).sum(axis=1), told.sum(axis=1))


def _inputs(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None) -> tuple[Floats, Floats, Floats]:
    guess, truth = (np.asarray(own, dtype=np.float64) for own in (prediction, value))
    if guess.ndim != 2 or guess.shape != truth.shape:
        raise ValueError(
            f"predictions have shape {guess.shape} and responses {truth.shape}: give items x channels of both"
        )
    return guess, truth, as_weights(weights, len(truth))
