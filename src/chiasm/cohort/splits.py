"""Cross-validation and holdout splits that keep groups together, and folds that a benchmark prescribes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.units import content_keys, sites_of, units_of
from chiasm.errors import CohortError, LeakageError, count, error
from chiasm.targets import Outcome, Target

NEVER_TESTED = "train"

Ints = NDArray[np.int_]


def fold_ids(
    cohort: Cohort, folds: int, *, seed: int, by: str | None = None, group_duplicates: bool = False
) -> NDArray[np.int_]:
    """Draw cross-validation folds: (B,) the fold, 0 to `folds` - 1, in which each patient is tested.

    Folds are stratified by class, by event (and tertile of time if there are enough), by quintile of a number, or by
    each of several labels (`stratify.deal`); a fold may lack a rare label as long as it has another. Groups
    (`cohort.group`) are never split, nor are sites with `by="site"`, nor patients identical in every modality with
    `group_duplicates`. Patients with an unknown outcome are assigned too, so that the array fits the cohort. Equal
    seeds give equal folds, whatever the order of the rows in the user's file. Raises CohortError if a class or the
    events are too few, or if a fold would have none.
    """
    if folds < 2:
        raise ValueError(f"a cross-validation needs at least 2 folds, not {folds}")
    known = _known(cohort)
    units = units_of(cohort, by, group_duplicates)
    rows = np.flatnonzero(known)
    if len(rows) < folds:
        raise _too_few(f"{count(len(rows), 'patient')} with a known outcome", folds, "patients")
    learned = _learned(cohort)
    if learned is not None and (short := learned[0].too_few(learned[1].take(rows), folds)):
        raise _too_few(short[0], folds, short[1])
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    assigned = np.full(len(cohort), -1)
    for fold, tested in enumerate(_split(cohort, rows, None if units is None else units[rows], folds, state)):
        assigned[rows[tested]] = fold
    _require_labels(cohort, assigned[rows].astype(str), [str(fold) for fold in range(folds)])
    return _deal_unknown(assigned, units, folds, state)


def holdout(
    cohort: Cohort, fraction: float, *, seed: int, by: str | None = None, group_duplicates: bool = False
) -> NDArray[np.bool_]:
    """Draw a stratified holdout: (B,) True for about `fraction` of the patients with known outcome; keeps groups whole.

    Every class (or event) with two members or more keeps one on each side if the groups allow it. What else is kept
    whole is asked as in `fold_ids`.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction held out lies between 0 and 1, not at {fraction}")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    known = _known(cohort)
    units = units_of(cohort, by, group_duplicates)
    learned = _learned(cohort)
    if learned is not None:
        drawn = learned[0].held_out(learned[1].take(known), fraction, None if units is None else units[known], rng)
        if drawn is not None:
            held = np.zeros(len(cohort), dtype=bool)
            held[known] = drawn
            return held
    strata = np.where(known, 0 if learned is None else learned[0].strata(learned[1], 2), -1)
    _, strata = np.unique(strata, return_inverse=True)  # (B,) codes from 0
    sizes = np.bincount(strata[known], minlength=strata.max(initial=0) + 1)
    wanted = np.where(sizes >= 2, np.clip(np.round(fraction * sizes), 1, np.maximum(sizes - 1, 1)), 0)
    held = np.zeros(len(cohort), dtype=bool)
    if units is None:
        for stratum in np.unique(strata[known]):
            members = rng.permutation(np.flatnonzero(known & (strata == stratum)))
            held[members[: int(wanted[stratum])]] = True
        return held
    members_of = pd.Series(np.flatnonzero(known)).groupby(units[known]).agg(list)
    counts = np.zeros(len(sizes))
    for position in rng.permutation(len(members_of)):
        members = np.array(members_of.iloc[position])
        more = np.bincount(strata[members], minlength=len(sizes))
        if np.sum((counts + more - wanted) ** 2) < np.sum((counts - wanted) ** 2):
            counts += more
            held[members] = True
    if not held.any() and len(members_of) > 1:  # every unit is larger than requested: take the smallest
        held[np.array(min(members_of, key=len))] = True
    return held


def assigned_folds(cohort: Cohort) -> list[tuple[str, Ints, Ints]]:
    """Return the folds that the manifest prescribes, sorted by name: (name, training rows, test rows).

    Patients of fold "train" are never tested. A group on both sides of a fold gives a warning, not an error, because
    the benchmark prescribes it. Raises CohortError if the cohort has no folds, or one lacks a class or an event.
    """
    if cohort.fold is None:
        raise CohortError(
            [error("the manifest gives no folds", "add [folds], or let folds be drawn", finding="no-folds")]
        )
    names = sorted(set(cohort.fold.tolist()) - {NEVER_TESTED})
    if not names:
        raise CohortError(
            [
                error(
                    f"every fold is '{NEVER_TESTED}'",
                    "name the fold in which a patient is tested",
                    finding="never-tested",
                )
            ]
        )
    _require_labels(cohort, cohort.fold[_known(cohort)], names)
    splits = []
    for name in names:
        tested = cohort.fold == name
        shared = shared_groups(cohort, tested)
        if shared:
            warnings.warn(
                f"{count(shared, 'group')} on both sides of the given fold '{name}': its score is optimistic",
                stacklevel=2,
            )
        splits.append((name, np.flatnonzero(~tested), np.flatnonzero(tested)))
    return splits


def require_disjoint(train: Cohort, test: Cohort, *, by: str | None = None, group_duplicates: bool = False) -> None:
    """Raise LeakageError if a patient or a group is on both sides of the split.

    The same holds for a site with `by="site"`, and for patients identical in every modality with `group_duplicates`.
    """
    _refuse_shared(set(train.ids.tolist()) & set(test.ids.tolist()), "patient")
    if train.group is not None and test.group is not None:
        _refuse_shared((set(train.group.tolist()) & set(test.group.tolist())) - {""}, "group")
    if by == "site":
        _refuse_shared(set(sites_of(train).tolist()) & set(sites_of(test).tolist()) - {""}, "site")
    if group_duplicates:
        shared = set(content_keys(train).tolist()) & set(content_keys(test).tolist())
        _refuse_shared(shared - {b""}, "patient identical in every modality")


def shared_groups(cohort: Cohort, tested: NDArray[np.bool_]) -> int:
    """Count the groups on both sides of a mask of tested patients."""
    if cohort.group is None:
        return 0
    return len(set(cohort.group[tested].tolist()) & set(cohort.group[~tested].tolist()) - {""})


def lacking(cohort: Cohort, fold: NDArray[np.str_], name: str) -> list[str]:
    """List what is missing to test on a fold or to train without it: classes, events, or any label at all."""
    return _lacking(cohort, (fold == name)[_known(cohort)], name)


def skipped_labels(cohort: Cohort, fold: NDArray[np.str_], name: str) -> list[str]:
    """List labels that cannot be tested on a fold or trained without it; empty unless the target has labels."""
    learned = _learned(cohort)
    return [] if learned is None else learned[0].skipped(learned[1], fold == name, name)


def _refuse_shared(shared: set[Any], noun: str) -> None:
    if shared:
        raise LeakageError(
            f"{count(len(shared), noun)} on both sides of the split: what is tested must not be trained on; "
            "split with fold_ids, which keeps them together"
        )


def _known(cohort: Cohort) -> NDArray[np.bool_]:
    return np.ones(len(cohort), dtype=bool) if cohort.outcome is None else cohort.outcome.known


def _learned(cohort: Cohort) -> tuple[Target, Outcome] | None:
    """Target and outcome of a cohort that has both."""
    return None if cohort.target is None or cohort.outcome is None else (cohort.target, cohort.outcome)


def _split(cohort: Cohort, rows: Ints, units: Ints | None, folds: int, state: int) -> list[Ints]:
    if units is not None and len(np.unique(units)) < folds:
        raise _too_few(count(len(np.unique(units)), "group"), folds, "groups")
    from sklearn.model_selection import (  # type: ignore[import-untyped]  # a second, and a check splits nothing
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    labels = strata = np.zeros(len(rows), dtype=int)
    if (learned := _learned(cohort)) is not None:
        target, outcome = learned
        dealt = target.dealt(outcome.take(rows), folds, units, np.random.default_rng(state))
        if dealt is not None:
            return [np.flatnonzero(dealt == fold) for fold in range(folds)]
        labels, strata = target.fold_labels(outcome)[rows], target.strata(outcome, folds)[rows]
    shuffled = {"n_splits": folds, "shuffle": True, "random_state": state}
    if units is None:
        splitter = StratifiedKFold(**shuffled) if len(np.unique(strata)) > 1 else KFold(**shuffled)
        return [tested for _, tested in splitter.split(strata, strata)]
    if len(np.unique(labels)) > 1:  # groups already constrain the split: stratify by the label alone
        strata = labels
    one = len(np.unique(strata)) == 1
    splitter = GroupKFold(**shuffled) if one else StratifiedGroupKFold(**shuffled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "the least populated class": answered by the check that follows
        return [tested for _, tested in splitter.split(strata, strata, units)]


def _too_few(what: str, folds: int, noun: str) -> CohortError:
    return CohortError(
        [error(f"{what}, fewer than the {folds} folds", f"use fewer folds or gather more {noun}", finding="too-few")]
    )


def _lacking(cohort: Cohort, tested: NDArray[np.bool_], name: str) -> list[str]:
    """List what a fold lacks; `tested` tells the patients of known outcome apart."""
    learned = _learned(cohort)
    if learned is not None:
        return learned[0].lacking(learned[1].take(learned[1].known), tested, name)
    told = (f"fold '{name}' has no patient", f"no patient is left to train on outside fold '{name}'")
    return [what for what, rows in zip(told, (tested, ~tested), strict=True) if not rows.any()]


def _require_labels(cohort: Cohort, fold: NDArray[np.str_], names: list[str]) -> None:
    """Raise CohortError for a fold, of those of the patients of known outcome, that lacks something."""
    problems = [
        error(what, "use fewer folds, merge it with another, or leave the class out", finding="fold-lacks-class")
        for name in names
        for what in _lacking(cohort, fold == name, name)
    ]
    if problems:
        raise CohortError(problems)


def _deal_unknown(assigned: Ints, units: Ints | None, folds: int, state: int) -> Ints:
    """Assign patients with unknown outcome to the fold of their unit, or else to the next in turn."""
    unknown = np.flatnonzero(assigned < 0)
    if not unknown.size:
        return assigned
    of_unit: dict[int, int] = {}
    if units is not None:
        of_unit = {int(unit): int(fold) for unit, fold in zip(units, assigned, strict=True) if fold >= 0}
    for turn, row in enumerate(unknown):
        unit = int(row) if units is None else int(units[row])
        assigned[row] = of_unit.setdefault(unit, (turn + state) % folds)
    return assigned
