"""Who is told of every trial that `evaluate` finishes."""

from __future__ import annotations

from collections.abc import Callable

from chiasm.cohort import Cohort
from chiasm.evaluation import Trial

Follower = Callable[[Trial, Cohort], None]
FOLLOWERS: list[Follower] = []


def tell(trial: Trial, cohort: Cohort) -> None:
    """Hand a finished trial to everybody who follows."""
    for follower in list(FOLLOWERS):
        follower(trial, cohort)
