"""Logistic recalibration of predicted probabilities, for all draws of a bootstrap at once.

Newton's method starts every draw at the fit of the whole sample, which is close to its own; a draw that does not
converge from there is fitted the slow way, from the mean and with halved steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.weighted import Floats, ratio

PROBABILITY_FLOOR = 1e-6
_NEWTON_STEPS = 100
_QUICK_STEPS = 12
_HALVINGS = 30
_SETTLED = 1e-10


def logit(p: Floats) -> Floats:
    """Log odds log(p / (1 - p)), with p clipped to [1e-6, 1 - 1e-6]."""
    clipped = np.clip(p, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), dtype=np.float64)


def logistic_line(x: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Intercept and slope of the unpenalised logistic regression of y on x, by weighted likelihood.

    Args:
        x, y: (n,); y is 0 or 1.
        w: (R, n) weights.

    Returns:
        (R,) each, NaN where no finite slope exists: one class, constant x, classes that a threshold on x separates.
    """
    intercept, slope = np.full(len(w), np.nan), np.full(len(w), np.nan)
    rows = np.flatnonzero(_overlap(x, y > 0.5, w))
    if not len(rows):
        return intercept, slope
    drawn = w[rows]
    whole = np.full((2, 1), np.nan)
    if bool(_overlap(x, y > 0.5, np.ones((1, len(x))))[0]):
        whole = np.stack(_from_the_mean(x, y, np.ones((1, len(x)))))
    a, b, settled = _from_a_start(x, y, drawn, *np.repeat(whole, len(rows), axis=1))
    rest = np.flatnonzero(~settled)
    if len(rest):
        a[rest], b[rest] = _from_the_mean(x, y, drawn[rest])
    intercept[rows], slope[rows] = a, b
    return intercept, slope


def logistic_shift(x: Floats, y: Floats, w: Floats) -> Floats:
    """Intercept a of logit P(y = 1) = a + x with the slope held at 1, (R,); NaN where all are of one class.

    Newton's method is kept between two bounds that close in on the root, because the score decreases in a.
    """
    total, events = w.sum(axis=1), w @ y
    out = np.full(len(w), np.nan)
    rows = np.flatnonzero((events > 0) & (events < total))
    if not len(rows):
        return out
    drawn, wanted = w[rows], events[rows]
    share = wanted / total[rows]
    centre = np.log(share) - np.log1p(-share)
    low, high = centre - x.max(), centre - x.min()  # the roots if every x were the largest, or the smallest, one
    a = np.clip(centre - (drawn @ x) / total[rows], low, high)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-(a[:, None] + x)))
        product = drawn * p
        gap = wanted - product.sum(axis=1)
        low, high = np.where(gap > 0, a, low), np.where(gap < 0, a, high)
        step = ratio(gap, product.sum(axis=1) - np.einsum("rn,rn->r", product, p))
        new = a + step
        new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
        moved, a = np.abs(new - a), new
        if bool(np.all(moved <= _SETTLED * (1 + np.abs(a)))):
            break
    out[rows] = a
    return out


def _overlap(x: Floats, member: NDArray[np.bool_], w: Floats) -> NDArray[np.bool_]:
    """Mask (R,) of draws where no threshold on x separates the classes: a finite maximum-likelihood slope exists."""
    inside, outside = (w > 0) & member, (w > 0) & ~member
    top_in, top_out = (np.where(side, x, -np.inf).max(axis=1, initial=-np.inf) for side in (inside, outside))
    low_in, low_out = (np.where(side, x, np.inf).min(axis=1, initial=np.inf) for side in (inside, outside))
    return np.asarray((top_out > low_in) & (top_in > low_out), dtype=np.bool_)


def _from_a_start(x: Floats, y: Floats, w: Floats, a: Floats, b: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Take plain Newton steps from (a, b), (R,) each; also return which draws converged."""
    settled = np.zeros(len(w), dtype=np.bool_)
    going = np.flatnonzero(np.isfinite(a) & np.isfinite(b))
    centre, spread = float(x.mean()), float(x.std()) or 1.0
    z = (x - centre) / spread
    a, b = a + b * centre, b * spread
    powers = np.stack([np.ones_like(z), z, z * z], axis=1)  # (n, 3)
    drawn, events = w[going], w[going] @ (powers[:, :2] * y[:, None])
    for _ in range(_QUICK_STEPS):
        if not len(going):
            break
        p = 1 / (1 + np.exp(-np.clip(a[going, None] + b[going, None] * z, -500, 500)))
        product = drawn * p
        gradient = events - product @ powers[:, :2]
        product *= 1 - p
        h00, h01, h11 = (product @ powers).T
        determinant = h00 * h11 - h01**2
        da = ratio(h11 * gradient[:, 0] - h01 * gradient[:, 1], determinant)
        db = ratio(h00 * gradient[:, 1] - h01 * gradient[:, 0], determinant)
        a[going], b[going] = a[going] + da, b[going] + db
        moved = np.abs(da) + np.abs(db)
        done = moved <= _SETTLED * (1 + np.abs(a[going]) + np.abs(b[going]))
        settled[going[done]] = True
        more = ~done & np.isfinite(moved) & (moved < 10)
        if not more.all():
            going, drawn, events = going[more], drawn[more], events[more]
    return a - b * centre / spread, b / spread, settled


def _from_the_mean(x: Floats, y: Floats, w: Floats) -> tuple[Floats, Floats]:
    """Run Newton's method on all draws together, halving a step for each draw whose loss it raises."""
    total = w.sum(axis=1)
    mean = (w @ x) / total
    spread = np.sqrt(np.maximum(w @ x**2 / total - mean**2, 1e-300))
    z = (x - mean[:, None]) / spread[:, None]  # (R, n): centred in each draw, for well-conditioned steps

    def loss(intercept: Floats, slope: Floats) -> Floats:
        eta = intercept[:, None] + slope[:, None] * z
        return np.asarray((w * (np.logaddexp(0, eta) - y * eta)).sum(axis=1) / total, dtype=np.float64)

    rate = (w @ y) / total
    a, b = np.log(rate / (1 - rate)), np.zeros(len(w))
    now = loss(a, b)
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(a[:, None] + b[:, None] * z, -500, 500)))
        residual, curvature = w * (y - p), w * p * (1 - p)
        g0, g1 = residual.sum(axis=1), (residual * z).sum(axis=1)
        h00, h01, h11 = curvature.sum(axis=1), (curvature * z).sum(axis=1), (curvature * z * z).sum(axis=1)
        determinant = h00 * h11 - h01**2
        da = np.nan_to_num(ratio(h11 * g0 - h01 * g1, determinant))
        db = np.nan_to_num(ratio(h00 * g1 - h01 * g0, determinant))
        step = np.ones(len(w))
        for _ in range(_HALVINGS):
            new = loss(a + step * da, b + step * db)
            worse = new > now + 1e-14 * np.maximum(now, 1.0)
            if not worse.any():
                break
            step[worse] /= 2
        a, b, now = a + step * da, b + step * db, new
        moved = np.abs(step * da) + np.abs(step * db)
        if bool(np.all(moved <= 1e-12 * (1 + np.abs(a) + np.abs(b)))):
            break
    settled = moved <= 1e-7 * (1 + np.abs(a) + np.abs(b))
    slope = np.where(settled, b / spread, np.nan)
    return np.where(settled, a - b * mean / spread, np.nan), slope
