"""Public functions that keep trials in MLflow: one that is finished, or every one from now on."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import chiasm.mlflow_flavour as mlflow_flavour
from chiasm.api.following import FOLLOWERS
from chiasm.cohort import Cohort
from chiasm.evaluation import Trial

if TYPE_CHECKING:
    from chiasm.sharing.tracking_place import TrackingPlace

__all__ = ["Autolog", "Tracked", "autolog", "mlflow_flavour", "track"]


@dataclass(frozen=True)
class Tracked:
    """Where a trial was written: the id of its run, the place, and the command that shows it ("" of a server)."""

    run: str
    place: str
    look: str


def track(
    trial: Trial | Path | str,
    to: str | os.PathLike[str] | TrackingPlace | None = None,
    *,
    experiment: str = "chiasm",
    cohort: Cohort | None = None,
) -> Tracked:
    """Write a finished trial to MLflow: a run with protocol, verdict, findings and page, below it one a recipe.

    No identifier, no value of a patient, no name of a user and no path is written.

    Args:
        trial: what `evaluate` or `load_trial` returned, or a run folder.
        to: a folder, in which an embedded database is made, or an address of MLflow; None takes the address in
            `MLFLOW_TRACKING_URI`.
        experiment: the name under which MLflow lists runs.
        cohort: the cohort of the trial, whose fingerprint is then a tag by which others of it are found.

    Raises:
        Unsupported: mlflow is not installed (`pip install "chiasm[tracking]"`).
        TrackingError: the place cannot be opened or written.
        TrialError: the folder holds no finished trial.
    """
    from chiasm.sharing.tracking_place import TrackingPlace, tracking_place
    from chiasm.sharing.trial_runs import log_trial

    if not isinstance(trial, Trial):
        from chiasm.api.trials import load_trial

        trial = load_trial(trial)
    place = to if isinstance(to, TrackingPlace) else tracking_place(to, experiment)
    print_of = "" if cohort is None else cohort.fingerprint
    run = log_trial(trial, place, write_page=lambda own, path: own.report(path), cohort_hash=print_of)
    return Tracked(run, place.shown, place.look)


class Autolog:
    """Trials written to MLflow as they finish, until `stop`, or the end of a `with` block."""

    def __init__(self, place: TrackingPlace) -> None:
        """Follow `evaluate` from now on."""
        self.place, self.runs = place, list[str]()
        FOLLOWERS.append(self._write)

    def stop(self) -> None:
        """Follow no longer."""
        if self._write in FOLLOWERS:
            FOLLOWERS.remove(self._write)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write(self, trial: Trial, cohort: Cohort) -> None:
        try:
            self.runs.append(track(trial, self.place, cohort=cohort).run)
        except (ValueError, OSError) as refused:  # hours of fits are not lost for it
            warnings.warn(f"the trial is finished and is not tracked: {refused}", stacklevel=4)


def autolog(to: str | os.PathLike[str] | None = None, *, experiment: str = "chiasm") -> Autolog:
    """Write every trial that `evaluate` finishes from now on to MLflow, as `track` does.

    What comes back has `runs`, the ids of their runs, and `stop()`; in a `with` block it stops at the end. A trial that
    cannot be written is a warning: it is finished all the same, and `track` writes it later.

    Args:
        to, experiment: as for `track`; the place is opened now.

    Raises:
        Unsupported: mlflow is not installed (`pip install "chiasm[tracking]"`).
        TrackingError: the place cannot be opened.
    """
    from chiasm.sharing.tracking_place import tracking_place

    return Autolog(tracking_place(to, experiment))
