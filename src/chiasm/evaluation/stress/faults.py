"""Faults that are put into patients on purpose: into one modality of those tested, or into the outcomes trained on.

    drift   every number of a modality moves by `level` standard deviations of the training patients, up or down: the
            direction is drawn for each column, the same for all patients of a fold, as by another machine or
            laboratory; columns of one or two values among the training patients stay as they are
    lost    the modality is taken from a share `level` of those who have it and another one beside it
    mixed   a share `level` of those who have it get the values of another one of them, as when samples are mixed up
    labels  a share `level` of the training patients get the outcome of another one of them, which may be the same
    fgsm    the tokens of a modality, or of all at once, move by `level` standard deviations of the training tokens
            along the signs of the loss's gradient: an attacker who knows network and outcome (`fusion.attack`)
    pgd     the same in ten steps
    noise   the same with random signs, the control of both

    sites   a site's patients are predicted by models that never saw the site (`stress.sites`); put in where the cohort
            names two sites or more

Three of them, noise, fgsm and pgd, together `attack`, are put in where they are asked for, and only into networks.

Who is struck, and in which direction, is drawn anew in each fold, and not for each level: a higher one strikes the same
patients and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Outcome, Unsupported
from chiasm.cohort.digests import DIGEST
from chiasm.compute.isolation import seeded
from chiasm.evaluation.stress.sites import site_splits

DRIFT, LOST, MIXED, LABELS, SITES = "drift", "lost", "mixed", "labels", "sites"
LEVELS: dict[str, tuple[float, ...]] = {
    DRIFT: (0.5, 1.0, 2.0), LOST: (0.25, 0.5, 1.0), MIXED: (0.1, 0.25, 0.5), LABELS: (0.1, 0.2, 0.4)
}  # fmt: skip
NOISE, FGSM, PGD = "noise", "fgsm", "pgd"
RADII = (0.05, 0.1, 0.25)
ATTACKS: dict[str, tuple[float, ...]] = dict.fromkeys((NOISE, FGSM, PGD), RADII)
WHOLE = (LABELS, SITES)
"""Kinds that strike no modality."""
ATTACK, EVERY = "attack", "(all)"
"""All three attacks, and where one is on every modality at once."""
NEEDED = {
    LOST: "two modalities",
    DRIFT: "a modality of numbers, of kind table or omics",
    SITES: "site in [patients], of two sites or more",
}
FLAG = 2  # values of a column that says yes or no
NUMBERS = ("table", "omics")  # kinds whose values can drift


@dataclass(frozen=True)
class Fault:
    """A fault of one kind, in one modality (empty for `WHOLE`, `EVERY` for an attack on all), at one level."""

    kind: str
    modality: str
    level: float


def faults_of(cohort: Cohort, kinds: Sequence[str] | None = None) -> list[Fault]:
    """List every fault that can be put into a cohort, by kind, modality and level.

    Nothing is lost where there is one modality, and values that are no numbers do not drift.

    Args:
        kinds: kinds of fault; None takes those that can be put into this cohort.

    Raises:
        ValueError: a kind of fault that there is not.
        Unsupported: a kind that was asked for can be put into no modality.
    """
    require_faults(kinds or ())
    found: list[Fault] = []
    apart = float(len(site_splits(cohort)))
    levels = LEVELS | ATTACKS | {SITES: (apart,) if apart else ()}
    for kind in dict.fromkeys((*LEVELS, SITES) if kinds is None else _each(kinds)):
        before = len(found)
        for name in _places(kind, cohort):
            if (kind == DRIFT and cohort.kinds[name] not in NUMBERS) or (kind == LOST and len(cohort.modalities) < 2):
                continue
            found += [Fault(kind, name, level) for level in levels[kind]]
        if kinds is not None and len(found) == before:
            raise Unsupported(f"the fault '{kind}' needs {NEEDED[kind]}, and the cohort has none: leave it out")
    return found


def _each(kinds: Sequence[str]) -> list[str]:
    """The kinds asked for, `attack` as its three."""
    return [own for kind in kinds for own in (ATTACKS if kind == ATTACK else (kind,))]


def _places(kind: str, cohort: Cohort) -> tuple[str, ...]:
    """Modalities that a kind of fault is put into."""
    if kind in WHOLE:
        return ("",)
    together = kind in ATTACKS and len(cohort.modalities) > 1
    return (*cohort.modalities, *((EVERY,) if together else ()))


def require_faults(kinds: Sequence[str]) -> None:
    """Refuse a kind of fault that there is not, with `ValueError`; asked before any work."""
    known = (*LEVELS, SITES, ATTACK, *ATTACKS)
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ValueError(f"there is no fault '{unknown[0]}': there are {', '.join(known)}")


def struck(fault: Fault, test: Cohort, train: Cohort, seed: int) -> tuple[Cohort, int]:
    """Put a fault that is no attack into tested patients, and count those who are struck; `labels` strikes none."""
    rng = np.random.default_rng(seeded(seed, f"{fault.kind}:{fault.modality}"))
    if fault.kind == DRIFT:
        return _drifted(test, train, fault, rng)
    if fault.kind == LOST:
        return _lost(test, fault, rng)
    return _mixed(test, fault, rng) if fault.kind == MIXED else (test, 0)


def mislabelled(train: Cohort, level: float, seed: int) -> tuple[Cohort, int]:
    """Give a share of the training patients whose outcome is known that of another one of them, in a random circle.

    Returns also how many have another outcome than before, of a choice another option that is right.
    """
    assert train.outcome is not None
    known = np.flatnonzero(train.outcome.known)
    taken = np.arange(len(train))
    chosen = np.random.default_rng(seeded(seed, LABELS)).permutation(known)[: round(level * len(known))]
    taken[chosen] = np.roll(chosen, 1)
    wrong, right = train.outcome.take(taken), train.outcome
    now, before = _told(wrong), _told(right)
    other = ~((now == before) | ((now != now) & (before != before)))  # NaN is like NaN
    other = other.any(axis=1) if other.ndim == 2 else other
    if wrong.event is not None and right.event is not None:
        other |= wrong.event != right.event
    if wrong.cause is not None and right.cause is not None:
        other |= wrong.cause != right.cause
    return train.with_target(train.target, wrong), int(other.sum())


def _told(outcome: Outcome) -> NDArray[Any]:
    """What is compared of outcomes: the values; of a choice the text of the right option, whose place says nothing.

    Of texts the references, without their order.
    """
    if outcome.texts is not None:
        return np.array(["\0".join(sorted(own)) for own in outcome.texts.references.tolist()], dtype=object)
    if outcome.options is None:
        return outcome.value
    places = zip(outcome.options.texts.tolist(), outcome.value.tolist(), outcome.known.tolist(), strict=True)
    return np.array([own[int(place)] if known else "" for own, place, known in places], dtype=object)


def _drifted(test: Cohort, train: Cohort, fault: Fault, rng: np.random.Generator) -> tuple[Cohort, int]:
    frame: pd.DataFrame = test.raw(fault.modality)
    numbers = [place for place, dtype in enumerate(frame.dtypes) if dtype.kind == "f"]
    sides = np.where(rng.random(frame.shape[1]) < 0.5, -1.0, 1.0)
    if not len(frame) or not len(train.rows_of(fault.modality)):
        return test, 0
    trained: pd.DataFrame = train.raw(fault.modality)
    moved = frame.copy()
    for place in numbers:
        if trained.iloc[:, place].nunique() <= FLAG:
            continue
        spread = float(np.nan_to_num(trained.iloc[:, place].std(ddof=0)))
        moved.isetitem(
            place, (frame.iloc[:, place] + fault.level * sides[place] * spread).astype(frame.dtypes.iloc[place])
        )
    keys = np.array([f"{number:016d}" for number in range(len(frame))], DIGEST)
    kind, everybody = test.kinds[fault.modality], np.ones(len(frame), bool)
    return test.with_values(fault.modality, kind, moved, everybody, None, keys), len(frame)


def _lost(test: Cohort, fault: Fault, rng: np.random.Generator) -> tuple[Cohort, int]:
    rows = test.rows_of(fault.modality)
    rows = rows[test.present[rows].sum(axis=1) > 1]
    chosen = _share(rows, fault.level, rng)
    return test.without(fault.modality, np.sort(chosen)), len(chosen)


def _mixed(test: Cohort, fault: Fault, rng: np.random.Generator) -> tuple[Cohort, int]:
    rows_of = rng.permutation(test.rows_of(fault.modality))
    chosen = rows_of[: max(2, round(fault.level * len(rows_of)))]  # one patient alone cannot be mixed up
    if len(chosen) < 2:
        return test, 0
    rows = test.source_rows[fault.modality].copy()
    rows[chosen] = rows[np.roll(chosen, 1)]
    return replace(test, source_rows={**test.source_rows, fault.modality: rows}), len(chosen)


def _share(rows: NDArray[np.int_], level: float, rng: np.random.Generator) -> NDArray[np.int_]:
    return rng.permutation(rows)[: round(level * len(rows))] if level < 1 else rows
