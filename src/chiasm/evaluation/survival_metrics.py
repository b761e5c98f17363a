"""Metrics of survival predictions: two concordance indices and the integrated Brier score.

Every function takes arrays of n patients and `weights` (R, n) or None (see `weighted.as_weights`), and gives (R,)
float64: one value a draw, NaN for a draw in which it is not defined. `time` is a positive number in any one unit,
`event` is True where the event was seen at that time and False where the patient was censored. The distribution of the
censoring comes from the training patients and is the same in every draw: intervals are conditional on the training set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.evaluation.weighted import Floats, as_weights, ratio

TIED_TOLERANCE = 1e-8
_CELLS = 4_000_000  # numbers in one block of the pair matrix: 16 MB each in float32


def harrell_c(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tied_tolerance: float = TIED_TOLERANCE,
) -> Floats:
    """Harrell's concordance index: the share of comparable pairs in which the one who dies first has the higher risk.

    Convention (that of `sksurv.metrics.concordance_index_censored`, which this equals): a pair is comparable when the
    shorter time is an event; at tied times, only when exactly one of the two is an event, which then counts as the
    earlier; two events at one time, or two censored patients, say nothing. Risks that differ by at most
    `tied_tolerance` count one half. (lifelines counts two events at one time as a pair; we do not.)

    Args:
        risk: (n,) float, higher means an earlier event.
        time: (n,) float.
        event: (n,) bool.
        weights: (R, n) counts.
        tied_tolerance: largest difference of two risks that are called equal.

    Source: Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4.
    """
    return _concordance(risk, time, event, weights, None, tied_tolerance)


def uno_c(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tau: float | None = None,
    tied_tolerance: float = TIED_TOLERANCE,
) -> Floats:
    """Uno's concordance index: Harrell's, each pair weighted by 1 / G(time of its event)^2, G the censoring survival.

    Equals `sksurv.metrics.concordance_index_ipcw`. That one raises when an event lies after the last training time or
    where G is zero; we leave such events out, because nothing is known of the censoring there.

    Args:
        risk, time, event, weights, tied_tolerance: as for `harrell_c`.
        train_time, train_event: (n_train,) of the training patients, for the Kaplan-Meier estimate of G.
        tau: only events before this time count; None is all.

    Source: Uno et al. 2011, doi:10.1002/sim.4154.
    """
    at = np.asarray(time, dtype=np.float64)
    survival = censoring_survival(train_time, train_event, at)
    pair_weight = np.nan_to_num(ratio(1.0, survival)) ** 2
    if tau is not None:
        pair_weight = np.where(at < tau, pair_weight, 0.0)
    return _concordance(risk, at, event, weights, pair_weight, tied_tolerance)


def integrated_brier(
    survival: ArrayLike,
    times: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    weights: ArrayLike | None = None,
) -> Floats:
    """Brier score of the survival probabilities at `times`, integrated by trapezoids and divided by their span.

        BS(t) = mean_i [ S_i(t)^2 1(T_i <= t, event) / G(T_i) + (1 - S_i(t))^2 1(T_i > t) / G(t) ]

    Equals `sksurv.metrics.integrated_brier_score`, which also refuses horizons outside the follow-up of the test
    patients; we do not, so that folds share their horizons. One horizon gives the Brier score there. NaN when a horizon
    lies past the last training time or where G is zero: sksurv would leave out whoever is still at risk.

    Args:
        survival: (n, K) probabilities of being event-free at each of `times`.
        times: (K,) increasing horizons.
        time, event, weights: as for `harrell_c`.
        train_time, train_event: (n_train,) of the training patients, for the Kaplan-Meier estimate of G.

    Source: Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    at, died = np.asarray(time, dtype=np.float64), np.asarray(event, dtype=np.bool_)
    guess, horizons = np.asarray(survival, dtype=np.float64), np.asarray(times, dtype=np.float64)
    w = as_weights(weights, len(at))
    if guess.shape != (len(at), len(horizons)) or len(died) != len(at):
        raise ValueError(
            f"survival probabilities have shape {guess.shape}: give {len(at)} patients x {len(horizons)} horizons"
        )
    if bool(np.any(np.diff(horizons) <= 0)):
        raise ValueError("horizons are not increasing: sort them, each once")
    at_horizon = censoring_survival(train_time, train_event, horizons)  # (K,)
    if len(horizons) == 0 or not bool(np.all(at_horizon > 0)):
        return np.full(len(w), np.nan)
    at_time = censoring_survival(train_time, train_event, at)[:, None]  # (n, 1)
    case = (at[:, None] <= horizons) & died[:, None]  # (n, K)
    control = at[:, None] > horizons
    loss = np.divide(guess**2, at_time, out=np.zeros_like(guess), where=case)
    loss += np.where(control, (1 - guess) ** 2 / at_horizon, 0.0)
    return ratio(w @ (loss @ _trapezoid_weights(horizons)), w.sum(axis=1))


def censoring_survival(train_time: ArrayLike, train_event: ArrayLike, at: ArrayLike) -> Floats:
    """G(t) = P(not censored by t), the Kaplan-Meier estimate from the training patients.

    At tied times events leave the risk set before anyone is censored, as in scikit-survival. After the last training
    time G stays zero where it has reached zero, and is otherwise unknown: NaN.

    Args:
        train_time, train_event: (n_train,), one patient or more.
        at: (n,) times.

    Returns:
        (n,) float64.
    """
    observed, died = np.asarray(train_time, dtype=np.float64), np.asarray(train_event, dtype=np.bool_)
    asked = np.asarray(at, dtype=np.float64)
    if len(observed) == 0:
        return np.full(asked.shape, np.nan)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    events = np.bincount(index, weights=died, minlength=len(unique))
    at_risk = len(observed) - np.r_[0, np.cumsum(count)[:-1]] - events
    hazard = np.nan_to_num(ratio(count - events, at_risk))
    survival = np.r_[1.0, np.cumprod(1.0 - hazard)]
    value = survival[np.searchsorted(unique, asked, side="right")]
    return np.where((asked > unique[-1]) & (survival[-1] > 0), np.nan, value)


def _trapezoid_weights(times: Floats) -> Floats:
    """(K,) weights that sum to one: the trapezoid rule over `times`, divided by their span."""
    if len(times) == 1:
        return np.ones(1)
    gaps = np.diff(times)
    return np.asarray((np.r_[gaps, 0.0] + np.r_[0.0, gaps]) / (2 * (times[-1] - times[0])), dtype=np.float64)


def _concordance(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    weights: ArrayLike | None,
    pair_weight: Floats | None,
    tied_tolerance: float,
) -> Floats:
    """sum_ij w_i w_j v_i S_ij / sum_ij w_i w_j v_i over comparable pairs, i the event, v the pair weight.

    S_ij is 1 where i has the higher risk and 1/2 where the risks tie. The numerator goes through blocks of rows of S,
    so that memory stays at a few blocks whatever n; the denominator is a cumulative sum.
    """
    score, at = np.asarray(risk, dtype=np.float64), np.asarray(time, dtype=np.float64)
    died = np.asarray(event, dtype=np.bool_)
    if not score.shape == at.shape == died.shape or score.ndim != 1:
        raise ValueError(
            f"risk, time and event have shapes {score.shape}, {at.shape}, {died.shape}: give one a patient"
        )
    w = as_weights(weights, len(at))
    if len(at) == 0:
        return np.full(len(w), np.nan)
    order = np.lexsort((~died, at))  # by time, at tied times the events first
    score, at, died, w = score[order], at[order], died[order], w[:, order]
    value = np.ones(len(at)) if pair_weight is None else pair_weight[order]
    later = _first_comparable(at, died)
    beyond = np.c_[np.cumsum(w[:, ::-1], axis=1)[:, ::-1], np.zeros(len(w))]  # (R, n + 1): weight from a position on
    rows = np.flatnonzero(died & (later < len(at)) & (value > 0))
    own = w[:, rows] * value[rows]  # (R, E)
    pairs = (own * beyond[:, later[rows]]).sum(axis=1)

    # counts are whole numbers: their sums are exact in float32 below 2^23, at half the memory and twice the speed
    exact = bool(np.all(w == np.floor(w))) and float(w.sum(axis=1).max()) < 2**23
    partner = np.ascontiguousarray(w.T, dtype=np.float32 if exact else np.float64)  # (n, R)
    concordant = np.zeros(len(w))
    step = max(1, _CELLS // max(len(at), len(w)))
    for begin in range(0, len(rows), step):
        chunk = rows[begin : begin + step]
        first = int(later[chunk[0]])
        difference = score[chunk, None] - score[None, first:]  # (rows, later patients)
        wins = np.where(np.abs(difference) <= tied_tolerance, 0.5, difference > 0).astype(partner.dtype)
        wins *= np.arange(first, len(at)) >= later[chunk, None]
        concordant += (own[:, begin : begin + step].T * (wins @ partner[first:])).sum(axis=0)
    return ratio(concordant, pairs)


def _first_comparable(time: Floats, event: NDArray[np.bool_]) -> NDArray[np.intp]:
    """(n,): for an event at position i of the sorted patients, the first position that is comparable to it.

    It is the end of the run of events at its time: those censored at that time, and all later ones, follow.
    """
    starts = np.flatnonzero(np.r_[True, (time[1:] != time[:-1]) | (event[1:] != event[:-1])])
    ends = np.r_[starts[1:], len(time)]
    return np.repeat(ends, ends - starts)
