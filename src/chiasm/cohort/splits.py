"""Cross-validation and holdout splits that keep groups together, and folds that a benchmark prescribes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.stratify import dealt_folds, fewest, held_out
from chiasm.cohort.targets import Classification, Multilabel, Survival
from chiasm.cohort.units import content_keys, sites_of, units_of
from chiasm.errors import CohortError, LeakageError, count, error

NEVER_TESTED = "train"
QUANTILES = 5
TIME_QUANTILES = 3

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
    labels = _labels(cohort)[rows]
    _require_members(cohort, labels, folds)
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    assigned = np.full(len(cohort), -1)
    for fold, tested in enumerate(_split(cohort, rows, labels, None if units is None else units[rows], folds, state)):
        assigned[rows[tested]] = fold
    _require_labels(cohort, assigned[rows], labels, [str(fold) for fold in range(folds)])
    return _deal_unknown(assigned, units, folds, state)


def holdout(cohort: Cohort, fraction: float, *, seed: int) -> NDArray[np.bool_]:
    """Draw a stratified holdout: (B,) True for about `fraction` of the patients with known outcome; keeps groups whole.

    Every class (or event) with two members or more keeps one on each side if the groups allow it.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"the fraction held out lies between 0 and 1, not at {fraction}")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    known = _known(cohort)
    units = units_of(cohort, None, False)
    if isinstance(cohort.target, Multilabel) and cohort.outcome is not None:
        held = np.zeros(len(cohort), dtype=bool)
        held[known] = held_out(cohort.outcome.value[known], fraction, None if units is None else units[known], rng)
        return held
    strata = np.where(known, _strata(cohort, 2), -1)
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
    known = _known(cohort)
    _require_labels(cohort, cohort.fold[known], _labels(cohort)[known], names)
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
    known = _known(cohort)
    return _lacking(cohort, (fold == name)[known], _labels(cohort)[known], name)


def skipped_labels(cohort: Cohort, fold: NDArray[np.str_], name: str) -> list[str]:
    """List labels that cannot be tested on a fold or trained without it; empty unless the target is multilabel."""
    if not isinstance(cohort.target, Multilabel) or cohort.outcome is None:
        return []
    value, found = cohort.outcome.value, []
    for k, label in enumerate(cohort.target.columns):
        for code, noun in ((1, "with"), (0, "known to be without")):
            if not (value[fold == name, k] == code).any():
                found.append(f"fold '{name}' has no patient {noun} label '{label}'")
            elif not (value[fold != name, k] == code).any():
                found.append(f"no patient {noun} label '{label}' is left to train on outside fold '{name}'")
    return found


def _refuse_shared(shared: set[Any], noun: str) -> None:
    if shared:
        raise LeakageError(
            f"{count(len(shared), noun)} on both sides of the split: what is tested must not be trained on; "
            "split with fold_ids, which keeps them together"
        )


def _known(cohort: Cohort) -> NDArray[np.bool_]:
    return np.ones(len(cohort), dtype=bool) if cohort.outcome is None else cohort.outcome.known


def _labels(cohort: Cohort) -> Ints:
    """(B,) label that every fold must contain: the class, or 1 for an event; 0 for all if neither applies."""
    if cohort.outcome is None or cohort.target is None:
        return np.zeros(len(cohort), dtype=int)
    if isinstance(cohort.target, Survival) and cohort.outcome.event is not None:
        return cohort.outcome.event.astype(int)
    if isinstance(cohort.target, Classification):
        return np.nan_to_num(cohort.outcome.value, nan=-1).astype(int)
    return np.zeros(len(cohort), dtype=int)


def _label_name(cohort: Cohort, label: int) -> str:
    if isinstance(cohort.target, Survival):
        return "event" if label else "censored"
    return f"class '{cohort.target.classes[label]}'" if isinstance(cohort.target, Classification) else "patient"


def _strata(cohort: Cohort, least: int) -> Ints:
    """(B,) stratum: the label, refined by quintile of a number or tertile of time as far as `least` members allow."""
    labels = _labels(cohort)
    if cohort.outcome is None or isinstance(cohort.target, Classification):
        return labels
    refined = labels * QUANTILES
    parts = TIME_QUANTILES if isinstance(cohort.target, Survival) else QUANTILES
    for label in np.unique(labels):
        rows = np.flatnonzero((labels == label) & cohort.outcome.known)
        parts_here = max(1, min(parts, len(rows) // max(least, 1)))
        rank = np.argsort(np.argsort(cohort.outcome.value[rows], kind="stable"), kind="stable")
        refined[rows] += rank * parts_here // max(len(rows), 1)
    return refined


def _split(cohort: Cohort, rows: Ints, labels: Ints, units: Ints | None, folds: int, state: int) -> list[Ints]:
    if units is not None and len(np.unique(units)) < folds:
        raise _too_few(count(len(np.unique(units)), "group"), folds, "groups")
    from sklearn.model_selection import (  # type: ignore[import-untyped]  # a second, and a check splits nothing
        GroupKFold,
        KFold,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    if isinstance(cohort.target, Multilabel) and cohort.outcome is not None:
        part = dealt_folds(cohort.outcome.value[rows], folds, units, np.random.default_rng(state))
        return [np.flatnonzero(part == fold) for fold in range(folds)]
    strata = _strata(cohort, folds)[rows]
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


def _require_members(cohort: Cohort, labels: Ints, folds: int) -> None:
    if isinstance(cohort.target, Classification):
        for label in range(len(cohort.target.classes)):
            if (members := int((labels == label).sum())) < folds:
                raise _too_few(
                    f"class '{cohort.target.classes[label]}' has {count(members, 'patient')}", folds, "members"
                )
    if isinstance(cohort.target, Multilabel) and cohort.outcome is not None:
        members = int(fewest(cohort.outcome.value).max())
        if members < folds:
            what = f"no label has more than {count(members, 'patient')} with it, or without it"
            raise _too_few(what, folds, "patients")
    if isinstance(cohort.target, Survival) and (events := int(labels.sum())) < folds:
        raise _too_few(count(events, "event"), folds, "events")


def _too_few(what: str, folds: int, noun: str) -> CohortError:
    return CohortError(
        [error(f"{what}, fewer than the {folds} folds", f"use fewer folds or gather more {noun}", finding="too-few")]
    )


def _lacking(cohort: Cohort, tested: NDArray[np.bool_], labels: Ints, name: str) -> list[str]:
    if isinstance(cohort.target, Multilabel) and cohort.outcome is not None:
        value = cohort.outcome.value[cohort.outcome.known]
        said = (
            f"fold '{name}' has no label that some patients have and some have not",
            f"no label that some patients have and some have not is left to train on outside fold '{name}'",
        )
        return [what for what, rows in zip(said, (tested, ~tested), strict=True) if not fewest(value[rows]).any()]
    if isinstance(cohort.target, Survival):
        needed = [1]
    elif isinstance(cohort.target, Classification):
        needed = list(range(len(cohort.target.classes)))
    else:
        needed = [0]
    found = []
    for label in needed:
        for side, rows in (("", tested), ("outside it ", ~tested)):
            if not (labels[rows] == label).any():
                found.append(f"fold '{name}' has no {_label_name(cohort, label)}" if not side else "")
                found[-1] = found[-1] or f"no {_label_name(cohort, label)} is left to train on outside fold '{name}'"
    return found


def _require_labels(cohort: Cohort, fold: NDArray[np.int_] | NDArray[np.str_], labels: Ints, names: list[str]) -> None:
    texts = fold.astype(str)
    problems = [
        error(what, "use fewer folds, merge it with another, or leave the class out", finding="fold-lacks-class")
        for name in names
        for what in _lacking(cohort, texts == name, labels, name)
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
