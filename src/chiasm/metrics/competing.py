"""Concordance under competing risks: who has the main cause first, among those who ever have it, and who never does.

The risk of a patient is the incidence of the main cause that is predicted at the last horizon. Weights are those of
`metrics.censoring`, where an event of any cause is an event.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.censoring import censoring_survival, truncation_time
from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, as_weights, ratio
from chiasm.targets.outcome import causes_of

TIED_TOLERANCE = 1e-10
_CELLS = 2_000_000  # entries in one block of the matrix of pairs: 16 MB


def wolbers_c(
    risk: ArrayLike,
    time: ArrayLike,
    cause: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tau: float | None = None,
    tied_tolerance: float = TIED_TOLERANCE,
) -> Floats:
    """Concordance index of the main cause: the weighted share of comparable pairs in which i has the higher risk.

        i had the main cause at T_i <= tau, and j either
        - was still without an event: T_j > T_i, or T_j = T_i and censored;  weight 1 / (G(T_i-) G(T_i))
        - or had another cause before: T_j <= T_i;                           weight 1 / (G(T_i-) G(T_j-))

    Who had it where G(T_i) is zero, as at a last training time that is censored, would have no weight against those
    still free, and is left out of all pairs. Who had another cause never has the main one, and so is compared with
    everyone who has it later. Risks that differ by at most `tied_tolerance` count one half. Equals
    `pec::cindex(cause = 1, eval.times = tau)` of R, which takes G from the patients it scores.

    Args:
        risk: (n,) float, higher means that the main cause is likelier.
        time: (n,) float.
        cause: (n,) 0 for censored, 1 for the main cause, more for another.
        train_time, train_event: (n_train,) times of the training patients, and True for an event of any cause.
        weights: (R, n) counts.
        tau: only events up to this time count; None counts all. See `censoring.truncation_time`.

    Returns:
        (R,), NaN without a comparable pair.

    Source: Wolbers, Blanche, Koller, Witteman and Gerds 2014, doi:10.1093/biostatistics/kxt059.
    """
    at, of = np.asarray(time, dtype=np.float64), np.asarray(cause, dtype=np.intp)
    w = as_weights(weights, len(at))
    return ratio(*cause_pairs(risk, at, of, censoring_weights(at, train_time, train_event), w, tau, tied_tolerance))


def censoring_weights(time: Floats, train_time: ArrayLike, train_event: ArrayLike) -> tuple[Floats, Floats]:
    """1 / G(T-) and 1 / G(T) of each patient, (n,) each; zero where G is zero or unknown."""
    before = censoring_survival(train_time, train_event, time, before=True)
    after = censoring_survival(train_time, train_event, time)
    return np.nan_to_num(ratio(1.0, before)), np.nan_to_num(ratio(1.0, after))


def cause_pairs(
    risk: ArrayLike,
    time: Floats,
    cause: NDArray[np.intp],
    censoring: tuple[Floats, Floats],
    weights: Floats,
    tau: float | None = None,
    tied_tolerance: float = TIED_TOLERANCE,
) -> tuple[Floats, Floats]:
    """Weight of the concordant and of the comparable pairs, (R,) each; arguments as for `wolbers_c`.

    Args:
        censoring: of `censoring_weights`.
        weights: (R, n) counts.
    """
    score = np.asarray(risk, dtype=np.float64)
    if not score.shape == time.shape == cause.shape or score.ndim != 1:
        raise ValueError(
            f"risk, time and cause have shapes {score.shape}, {time.shape}, {cause.shape}: give one a patient"
        )
    before, after = censoring
    rows = np.flatnonzero((cause == 1) & (before > 0) & (after > 0) & (True if tau is None else time <= tau))
    concordant, comparable = np.zeros(len(weights)), np.zeros(len(weights))
    step = max(1, _CELLS // max(1, len(time)))
    for start in range(0, len(rows), step):
        own = rows[start : start + step]
        t = time[own, None]
        free = (time > t) | ((time == t) & (cause == 0))
        value = before[own, None] * (free * after[own, None] + ((time <= t) & (cause > 1)) * before)  # (rows, n)
        gap = score[own, None] - score
        wins = np.where(np.abs(gap) <= tied_tolerance, 0.5, gap > 0)
        drawn = weights[:, own]  # (R, rows)
        concordant += np.sum(drawn * (weights @ (value * wins).T), axis=1)
        comparable += np.sum(drawn * (weights @ value.T), axis=1)
    return concordant, comparable


def of_scored(s: Scored, w: Floats) -> Floats:
    """`wolbers_c` of a fold, truncated where its training patients' censoring becomes too heavy."""
    risk, censoring, tau = _given(s)
    return ratio(*cause_pairs(risk, s.outcome.value, causes_of(s.outcome), censoring, w, tau))


def pairs_of_scored(s: Scored, w: Floats) -> Callable[[NDArray[np.intp]], tuple[Floats, Floats]]:
    """Function of some rows of a fold: the weights of its concordant and comparable pairs, (R,) each.

    Censoring and truncation are those of the whole fold.
    """
    risk, censoring, tau = _given(s)
    cause = causes_of(s.outcome)

    def pairs(rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        before, after = censoring
        own = (before[rows], after[rows])
        return cause_pairs(risk[rows], s.outcome.value[rows], cause[rows], own, w[:, rows], tau)

    return pairs


def _given(s: Scored) -> tuple[Floats, tuple[Floats, Floats], float]:
    """Risks, weights and truncation; without training patients the censoring is that of the patients scored."""
    known = s.outcome if s.train is None else s.train
    assert known.event is not None and s.outcome.event is not None  # times have events
    risk = s.prediction if s.survival is None or not s.survival.shape[1] else 1 - s.survival[:, -1]
    tau = truncation_time(known.value, known.event)
    return risk, censoring_weights(s.outcome.value, known.value, known.event), tau
