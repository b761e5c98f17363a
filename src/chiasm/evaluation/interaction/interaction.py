"""How each two modalities of a cohort share what they know of the outcome, on the folds of a trial.

Every modality becomes a few states of each patient (`modality_states`), which are learned on training patients alone;
of who has two modalities and a known outcome the parts are estimated (`estimated`). Where there are too few of these,
but enough who have either with an outcome, and enough pairs without one, the synergy is bounded (`bounded`).

The number of states grows with the patients of the rarest state of the outcome, r: the root of r / 20, from 2 to 4, so
that a cell would have 20 of them if all were met alike. Under 100 patients, or 30 of the rarest, nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.units import alone_where_empty
from chiasm.evaluation.fits import Execute
from chiasm.evaluation.folded import Folded, folded
from chiasm.evaluation.interaction.bounded import Bounded, Counted, bounded
from chiasm.evaluation.interaction.estimated import Decomposed, Labelled, decomposed
from chiasm.evaluation.interaction.modality_states import (
    PREDICTIONS,
    WAYS,
    FoldStates,
    Ints,
    Key,
    Wanted,
    named_alike,
    states_of_fold,
)
from chiasm.evaluation.interaction.outcome_states import OutcomeStates, outcome_states
from chiasm.evaluation.intervals import Counts, bootstrap_weights
from chiasm.evaluation.protocol import Protocol
from chiasm.metrics.weighted import Floats

FEWEST_PATIENTS, FEWEST_RAREST = 100, 30
A_CELL = 20
FEWEST_STATES, MOST_STATES = 2, 4
Bools = NDArray[np.bool_]
MOST_PAIRS = 66  # of twelve modalities
PATIENTS, BOUNDS, TOO_FEW = "patients", "bounds", "too few to say"


@dataclass(frozen=True)
class Asked:
    """One pair of modalities and one question about the outcome, with what it is answered by.

    Attributes:
        first, second: the modalities, in the order of their names.
        outcome: what is asked of it.
        basis: "patients" who have both and the outcome, "bounds", or "too few to say".
        patients: how many tested ones have both and the outcome; pairs: how many have both, whatever the outcome.
        rarest: patients of the rarest state of the outcome among those who answer.
        states: of each modality; 0 where there are too few.
    """

    first: str
    second: str
    outcome: OutcomeStates
    basis: str
    patients: int
    pairs: int
    rarest: float
    states: int

    def keys(self, way: str) -> tuple[Key, Key]:
        """What states it needs."""
        column = self.outcome.column if way == PREDICTIONS else None
        return (self.first, way, column, self.states), (self.second, way, column, self.states)


Found = tuple[Asked, str, "Decomposed | Bounded | None", str]
"""A question, the way of its states, its answer, and why there is none."""


def interactions(
    cohort: Cohort,
    protocol: Protocol,
    *,
    ways: Sequence[str] = WAYS,
    horizon: float | None = None,
    seed: int,
    jobs: int,
    execute: Execute,
    progress: Callable[[int, int], None],
) -> list[Found]:
    """Answer for each two modalities, each way and each label, in the order of the names.

    Args:
        cohort: encoded, with a target; who has two modalities and no known outcome counts as a pair.
        ways: how states are made, of `WAYS`.
        horizon: by which an event is asked for; None takes the middle one of the target.
        execute: how training sets are run in parallel.
        progress: called with (finished, all) training sets.

    Raises:
        Unsupported: no target, fewer than two modalities, over 66 pairs, or a horizon that cannot be asked for.
    """
    names = cohort.modalities
    if len(names) < 2:
        raise Unsupported(f"the cohort has {len(names)} modality: two are needed to ask what both tell together")
    pairs = list(combinations(names, 2))
    if len(pairs) > MOST_PAIRS:
        raise Unsupported(
            f"{len(names)} modalities make {len(pairs)} pairs, over {MOST_PAIRS}: name the ones to compare"
        )
    known = folded(cohort, protocol, seed)
    outcome = cohort.outcome
    assert outcome is not None  # else it is not usable
    apart = np.flatnonzero(~outcome.known & (cohort.present.sum(axis=1) > 1))
    others = cohort.subset(apart) if len(apart) else None
    questions = outcome_states(known.target, known.outcome, horizon)
    tested = np.zeros(len(known.cohort), bool)
    tested[np.concatenate([split.test for split in known.splits])] = True
    asked = [_asked(known.cohort, tested, others, pair, own) for pair in pairs for own in questions]
    answered = [own for own in asked if own.states]
    keys = tuple(dict.fromkeys(key for own in answered for way in ways for key in own.keys(way)))
    splits = known.splits if keys else ()
    told: dict[str, dict[Key, FoldStates]] = {}
    progress(0, len(splits))
    wanted = Wanted(known.cohort, others, keys, seed)
    for done, (name, states) in enumerate(execute(states_of_fold, wanted, splits, jobs), start=1):
        told[name] = states
        progress(done, len(splits))
    of_key = {key: named_alike([told[split.key][key] for split in splits]) for key in keys}
    draws = np.c_[known.draws, others_drawn(others, len(known.draws), seed)]
    return [
        (own, way, *_answer(own, [of_key[key] for key in own.keys(way)], known, others, draws, seed))
        if own.states
        else (own, way, None, TOO_FEW)
        for own in asked
        for way in ways
    ]


def _asked(
    cohort: Cohort, tested: Bools, others: Cohort | None, pair: tuple[str, str], outcome: OutcomeStates
) -> Asked:
    """Say by whom of the tested patients, and of the others, a question is answered."""
    one, two = (np.asarray(cohort.present[:, cohort.modalities.index(name)] & tested) for name in pair)
    labelled = outcome.weight > 0
    both = one & two & labelled
    apart = (
        0 if others is None else int(others.present[:, [others.modalities.index(name) for name in pair]].all(1).sum())
    )
    patients, pairs = int(both.sum()), int((one & two).sum()) + apart
    rarest = outcome.rarest(both)
    if patients >= FEWEST_PATIENTS and rarest >= FEWEST_RAREST:
        return Asked(*pair, outcome, PATIENTS, patients, pairs, rarest, _states(rarest))
    least = min(outcome.rarest(own & labelled) for own in (one, two))
    fewest = min(int((own & labelled).sum()) for own in (one, two))
    if min(fewest, pairs) >= FEWEST_PATIENTS and least >= FEWEST_RAREST:
        return Asked(*pair, outcome, BOUNDS, patients, pairs, least, _states(min(least, pairs / outcome.states)))
    return Asked(*pair, outcome, TOO_FEW, patients, pairs, rarest, 0)


def _states(rarest: float) -> int:
    return int(np.clip(np.sqrt(rarest / A_CELL), FEWEST_STATES, MOST_STATES))


def others_drawn(others: Cohort | None, draws: int, seed: int) -> Counts:
    """(R, U) counts of the patients without a known outcome; a group is drawn as a whole."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    if others is None:
        return bootstrap_weights(0, draws, rng)
    groups = None if others.group is None else alone_where_empty(others.group)
    return bootstrap_weights(len(others), draws, rng, groups)


def _answer(
    asked: Asked, folds: Sequence[Sequence[FoldStates]], known: Folded, others: Cohort | None, draws: Counts, seed: int
) -> tuple[Decomposed | Bounded | None, str]:
    """Answer one question by the states of both modalities in every fold."""
    one, two = ([_of_repeat(known, own, repeat) for repeat in _repeats(known)] for own in folds)
    weight, code, k = asked.outcome.weight, asked.outcome.code, asked.states
    n = len(weight)
    try:
        if asked.basis == PATIENTS:
            rows = np.flatnonzero((weight > 0) & np.all([own >= 0 for own in (*one, *two)], axis=0))
            if len(rows) < FEWEST_PATIENTS or asked.outcome.rarest(np.isin(np.arange(n), rows)) < FEWEST_RAREST:
                return None, TOO_FEW  # where folds are given, or a modality is rare, not all are tested
            labelled = [
                Labelled(rows, a[rows], b[rows], code[rows], weight[rows]) for a, b in zip(one, two, strict=True)
            ]
            return decomposed(labelled, (k, k, asked.outcome.states), draws, seed), ""
        alone = [
            _counted(np.arange(n), [(own, code) for own in states], weight, (k, asked.outcome.states))
            for states in (one, two)
        ]
        pairs = _counted(np.arange(n), list(zip(one, two, strict=True)), np.ones(n), (k, k))
        if others is not None:
            apart = [(a.others, b.others) for a, b in zip(*folds, strict=True)]
            more = _counted(n + np.arange(len(others)), apart, np.ones(len(others)), (k, k))
            pairs = pairs.with_more(more)
        return bounded(alone[0], alone[1], pairs, draws), ""
    except Unsupported as why:
        return None, str(why)


def _counted(rows: Ints, codes: Sequence[tuple[Ints, Ints]], weight: Floats, shape: tuple[int, int]) -> Counted:
    """Cells of who has both codes, in the mean of repeats or folds."""
    kept = [(a >= 0) & (b >= 0) & (weight > 0) for a, b in codes]
    return Counted(
        np.concatenate([rows[own] for own in kept]),
        np.concatenate([a[own] for (a, _), own in zip(codes, kept, strict=True)]),
        np.concatenate([b[own] for (_, b), own in zip(codes, kept, strict=True)]),
        np.concatenate([weight[own] / len(codes) for own in kept]),
        shape,
    )


def _repeats(known: Folded) -> list[int]:
    return sorted({split.repeat for split in known.splits})


def _of_repeat(known: Folded, folds: Sequence[FoldStates], repeat: int) -> Ints:
    """The state of each patient in the fold of a repeat that tests him, (N,); -1 without any."""
    found = np.full(len(known.cohort), -1)
    for split, own in zip(known.splits, folds, strict=True):
        if split.repeat == repeat:
            found = np.where(own.told >= 0, own.told, found)
    return found
