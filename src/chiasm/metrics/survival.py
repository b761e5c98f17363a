"""Metrics of survival predictions: two concordance indices and the integrated Brier score.

Every function takes arrays of n patients and `weights` (R, n) or None (see `weighted.as_weights`), and returns (R,)
float64: one value per draw, NaN for a draw in which it is undefined. `time` is a positive number in any one unit,
`event` is True where the event was seen at that time and False where the patient was censored. The censoring
distribution comes from the training patients and is the same in every draw: intervals are conditional on the training
set.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics.censoring import censoring_survival, event_free_survival, seen_by
from chiasm.metrics.concordance import concordance
from chiasm.metrics.weighted import Floats, as_weights, ratio

TIED_TOLERANCE = 1e-8


def harrell_c(
    risk: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    tied_tolerance: float = TIED_TOLERANCE,
) -> Floats:
    """Harrell's concordance index: the share of comparable pairs in which the earlier event has the higher risk.

    Convention (that of `sksurv.metrics.concordance_index_censored`, which this equals): a pair is comparable when the
    shorter time is an event; at tied times, only when exactly one of the two is an event, which then counts as the
    earlier; two events at one time, or two censored patients, are not comparable. Risks that differ by at most
    `tied_tolerance` count one half. (lifelines counts two events at one time as a pair; we do not.)

    Args:
        risk: (n,) float, higher means an earlier event.
        time: (n,) float.
        event: (n,) bool.
        weights: (R, n) counts.
        tied_tolerance: largest difference of two risks that count as tied.

    Source: Harrell et al. 1996, doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4.
    """
    return concordance(risk, time, event, weights, None, tied_tolerance)


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
    """Uno's concordance index: Harrell's, with each pair weighted by 1 / G(T-)^2, where T is the time of its event.

    Equals `survival::concordance(timewt = "n/G2", ymax = tau)` of R, which takes G from the patients it scores, and,
    where nobody was censored at the time of an event, `sksurv.metrics.concordance_index_ipcw`, which takes G(T) and
    T < tau. We leave out events after the last training time, because the censoring there is unknown.

    Args:
        risk, time, event, weights, tied_tolerance: as for `harrell_c`.
        train_time, train_event: (n_train,) times and events of the training patients, which give G by Kaplan-Meier.
        tau: only events up to this time count; None counts all. See `censoring.truncation_time`.

    Source: Uno et al. 2011, doi:10.1002/sim.4154.
    """
    at = np.asarray(time, dtype=np.float64)
    survival = censoring_survival(train_time, train_event, at, before=True)
    pair_weight = np.nan_to_num(ratio(1.0, survival)) ** 2
    if tau is not None:
        pair_weight = np.where(at <= tau, pair_weight, 0.0)
    return concordance(risk, at, event, weights, pair_weight, tied_tolerance)


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

        BS(t) = mean_i [ S_i(t)^2 1(T_i <= t, event) / G(T_i-) + (1 - S_i(t))^2 1(T_i > t) / G(t) ]

    BS(t) equals `riskRegression::Score` of R, which takes G from the patients it scores and integrates by rectangles
    from time zero, as `pec::crps` does; and, where nobody was censored at the time of an event,
    `sksurv.metrics.integrated_brier_score`. One horizon gives the Brier score there. NaN when a horizon lies past the
    last training time or where G is zero.

    Args:
        survival: (n, K) probabilities of being event-free at each of `times`.
        times: (K,) increasing horizons.
        time, event, weights: as for `harrell_c`.
        train_time, train_event: (n_train,) times and events of the training patients, which give G by Kaplan-Meier.

    Source: Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    loss = integrated_losses(survival, times, time, event, train_time, train_event)[:, 0]
    w = as_weights(weights, len(loss))
    return ratio(w @ loss, w.sum(axis=1)) if len(np.asarray(times)) else np.full(len(w), np.nan)


def integrated_losses(
    survival: ArrayLike,
    times: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    main: ArrayLike | None = None,
    null: ArrayLike | None = None,
) -> Floats:
    """Contribution of each patient to the integrated Brier score, and to that of the null model, (n, 2).

    The null model gives every patient the Kaplan-Meier survival of the training patients. Arguments as for
    `integrated_brier` and `brier_losses`.
    """
    at, horizons = np.asarray(time, dtype=np.float64), np.asarray(times, dtype=np.float64)
    share = _trapezoid_weights(horizons)
    ours, null = brier_losses(survival, horizons, at, event, train_time, train_event, main, null)
    return np.stack([ours @ share, null @ share], axis=1)


def brier_losses(
    survival: ArrayLike,
    times: ArrayLike,
    time: ArrayLike,
    event: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    main: ArrayLike | None = None,
    null: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Weighted squared errors at each horizon, and those of the null model, (n, K) each; NaN at a horizon without G.

    Args:
        survival, times, time, event, train_time, train_event: as for `integrated_brier`.
        main: (n,) True where the event is that of the main cause; None: every event is.
        null: (K,) survival of the null model; None: the Kaplan-Meier estimate of the training patients.
    """
    at, horizons = np.asarray(time, dtype=np.float64), np.asarray(times, dtype=np.float64)
    guess = np.asarray(survival, dtype=np.float64)
    if guess.shape != (len(at), len(horizons)) or len(np.asarray(event)) != len(at):
        raise ValueError(
            f"survival probabilities have shape {guess.shape}: give {len(at)} patients x {len(horizons)} horizons"
        )
    if bool(np.any(np.diff(horizons) <= 0)):
        raise ValueError("horizons are not increasing: sort them, each once")
    died_by, weight = seen_by(at, event, horizons, train_time, train_event)
    died_by = died_by if main is None else died_by * np.asarray(main, dtype=np.bool_)[:, None]
    null = event_free_survival(train_time, train_event, horizons) if null is None else np.asarray(null)
    return weight * (1 - died_by - guess) ** 2, weight * (1 - died_by - null) ** 2


def _trapezoid_weights(times: Floats) -> Floats:
    """Weights (K,) of the trapezoid rule over `times`, divided by their span, so that they sum to one."""
    if len(times) < 2:
        return np.ones(len(times))
    gaps = np.diff(times)
    return np.asarray((np.r_[gaps, 0.0] + np.r_[0.0, gaps]) / (2 * (times[-1] - times[0])), dtype=np.float64)
