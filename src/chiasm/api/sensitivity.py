"""Public function that asks whether a verdict holds if outcomes that were not seen are not missing at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from chiasm.api.trials import load_trial
from chiasm.evaluation import Trial
from chiasm.evaluation.stress.not_at_random import DELTAS, IMPUTATIONS, NotAtRandom
from chiasm.evaluation.stress.not_at_random import not_at_random as judged_anew
from chiasm.progress import followed

__all__ = ["DELTAS", "NotAtRandom", "not_at_random"]


def not_at_random(
    trial: Trial | Path | str,
    *,
    deltas: Sequence[float] = DELTAS,
    imputations: int = IMPUTATIONS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> NotAtRandom:
    """Draw the outcomes that a trial did not see, delta standard deviations from what those seen say, and judge anew.

    Patients who were censored before the last event are followed further by a model of the others, and empty cells of
    several labels are filled; the estimand, the model and the sources stand in
    `chiasm.evaluation.stress.not_at_random`.

    Args:
        trial: finished, or its run folder.
        deltas: how far the outcomes that were not seen lie from those seen; zero is missing at random.
        imputations: how often each outcome is drawn, 2 or more.
        seed: of the draws.
        progress: called with (finished, all) verdicts.

    Raises:
        Unsupported: no verdict, nothing that was not seen, or a target of which every tested patient has an outcome.
        TrialError: the folder holds no finished trial.
        ValueError: fewer than two imputations, or a delta that is not a number.
    """
    finished = trial if isinstance(trial, Trial) else load_trial(trial)
    with followed("verdicts", progress) as told:
        return judged_anew(finished, deltas=deltas, imputations=imputations, seed=seed, progress=told)
