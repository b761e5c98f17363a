"""Cross-validation protocol of a trial: outer folds for testing, inner folds for selection."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, assigned_folds, fold_ids, require_disjoint
from chiasm.evaluation.verdict import MARGIN

Ints = NDArray[np.int_]
REPEATS = 5
REPEATED_UP_TO = 500


@dataclass(frozen=True)
class Protocol:
    """Evaluation rules shared by every recipe of a trial.

    Args:
        folds, repeats: size of the outer cross-validation, used where the cohort prescribes no folds. If `repeats` is
            None, `with_repeats` derives it from the cohort.
        inner_folds: number of inner folds, within each training set, on which the best single and the best combined
            recipe are picked.
        ignore_folds: draw folds even if the cohort prescribes some.
        by: "site" keeps each site on one side of every fold.
        group_duplicates: keep patients identical in every modality on one side of every fold.
        margin: the smallest gain in the primary metric that is worth having.
        draws: number of bootstrap draws.
    """

    folds: int = 5
    repeats: int | None = None
    inner_folds: int = 3
    ignore_folds: bool = False
    by: str | None = None
    group_duplicates: bool = False
    margin: float = MARGIN
    draws: int = 1000

    def __post_init__(self) -> None:
        if (
            self.folds < 2
            or self.inner_folds < 2
            or self.draws < 100
            or not (self.repeats is None or self.repeats >= 1)
        ):
            raise ValueError("a protocol needs folds >= 2, inner_folds >= 2, repeats >= 1 and draws >= 100")
        if self.by not in (None, "site"):
            raise ValueError(f"by={self.by!r} is not known: folds can be kept apart by 'site', or not at all")
        if not self.margin >= 0:
            raise ValueError(f"the margin is the smallest gain worth having, 0 or more, not {self.margin}")

    def as_json(self) -> dict[str, Any]:
        """Return the fields as stored in `trial.json`."""
        return asdict(self)


def with_repeats(protocol: Protocol, cohort: Cohort) -> Protocol:
    """Return the protocol with its number of repeats filled in: the requested number, or a default for the cohort.

    The default is five for up to 500 patients with no modality encoded from files, and one otherwise or where the
    cohort prescribes its folds. Running time plays no part, so the same cohort is always judged in the same way.
    """
    if protocol.repeats is not None:
        return protocol
    few = len(cohort) <= REPEATED_UP_TO and not cohort.encodings and not uses_given_folds(cohort, protocol)
    return replace(protocol, repeats=REPEATS if few else 1)


@dataclass(frozen=True)
class Split:
    """One training set and the patients to predict from it; `inner` is None for an outer fold.

    Args:
        repeat, fold: the outer fold it belongs to.
        inner: number of the inner fold, or None.
        train, test: rows of the cohort, sorted.
        hidden: modalities withheld from the tested patients. For an inner fold these are the modalities that no patient
            of the outer test fold has, so that a recipe is not picked for data that it will not be given.
    """

    repeat: int
    fold: str
    inner: int | None
    train: Ints
    test: Ints
    hidden: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Identifier of the split, used for file names and seeds."""
        return f"r{self.repeat}-f{quote(self.fold, safe='')}" + ("" if self.inner is None else f"-i{self.inner}")


def plan(cohort: Cohort, protocol: Protocol, seed: int) -> list[Split]:
    """Build the outer folds of a trial, ordered by (repeat, fold), and check each for leakage.

    Folds that the cohort prescribes are used once, as they are, unless `ignore_folds` or `by` is set.

    Raises:
        LeakageError: a patient, group or site on both sides of a fold.
        CohortError: a fold without an event or a class.
    """
    splits = []
    if uses_given_folds(cohort, protocol):
        splits = [Split(0, name, None, train, test) for name, train, test in assigned_folds(cohort)]
    else:
        for repeat in range(protocol.repeats or 1):
            ids = fold_ids(
                cohort, protocol.folds, seed=seed + repeat, by=protocol.by, group_duplicates=protocol.group_duplicates
            )
            for fold in range(protocol.folds):
                train, test = np.flatnonzero(ids != fold), np.flatnonzero(ids == fold)
                require_disjoint(
                    cohort.subset(train),
                    cohort.subset(test),
                    by=protocol.by,
                    group_duplicates=protocol.group_duplicates,
                )
                splits.append(Split(repeat, str(fold), None, train, test))
    return splits


def inner_plan(cohort: Cohort, outer: Split, protocol: Protocol, seed: int) -> list[Split]:
    """Build the inner folds of one outer fold, drawn from its training set only.

    Raises:
        CohortError: too few events or members of a class in the training set.
    """
    training = cohort.subset(outer.train)
    ids = fold_ids(
        training, protocol.inner_folds, seed=seed + 7919 * (outer.repeat + 1), by=protocol.by,
        group_duplicates=protocol.group_duplicates,
    )  # fmt: skip
    here = np.asarray(cohort.present[outer.test].any(0))
    hidden = tuple(name for name, some in zip(cohort.modalities, here.tolist(), strict=True) if not some)
    shown = [m for m, name in enumerate(cohort.modalities) if name not in hidden]
    splits = []
    for inner in range(protocol.inner_folds):
        test = outer.train[ids == inner]
        test = test[cohort.present[test][:, shown].any(1)]
        splits.append(Split(outer.repeat, outer.fold, inner, outer.train[ids != inner], test, hidden))
    return splits


def uses_given_folds(cohort: Cohort, protocol: Protocol) -> bool:
    """Return True if the folds are the ones that the cohort prescribes."""
    return cohort.fold is not None and not protocol.ignore_folds and protocol.by is None
