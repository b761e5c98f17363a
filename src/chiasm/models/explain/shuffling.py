"""Patients whose columns are shuffled among those who have the same modalities, and what a model then predicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.cohort.digests import DIGEST
from chiasm.cohort.units import alone_where_empty
from chiasm.compute.isolation import seeded
from chiasm.fitting.model import FittedModel
from chiasm.models.explain.pieces import Piece
from chiasm.protocols import Model

FEWEST_OF_A_PATTERN = 10  # patients: each half then has five, of whom four may give a patient their values
MOST_PATIENTS = 2_000
VALUES_AT_ONCE = 8_000_000  # of the shuffled modality, in as many copies of the patients as these allow
ROWS_AT_ONCE = 16_384

Ints = NDArray[np.int_]
Predicts = Callable[[Cohort], pd.DataFrame]


@dataclass(frozen=True)
class Shuffles:
    """Who gives whom their values of a modality, R times.

    A pattern is cut into two random halves, another cut each time, and within a half everybody gets the values of
    somebody else, in a random circle. So no patient of one half has values of the other. A group, as the records of one
    person, lies in one half, and nobody gets values of their own group.

    Args:
        rows: `(n,)` rows of the cohort: those who have the modality, in patterns of ten patients or more.
        donors: `(R, n)` positions among `rows`.
        half: `(R, n)` bool, which half of their pattern a patient is in.
        unit: `(n,)` the group of each, whole numbers; without groups everybody has their own.
        few: number of patients left out, since their pattern cannot be cut into two such halves of five or more.
        drawn_from: number of patients among whom `rows` were drawn, where there are more than 2,000; else 0.
    """

    rows: Ints
    donors: Ints
    half: NDArray[np.bool_]
    unit: Ints
    few: int
    drawn_from: int

    @property
    def permutations(self) -> int:
        """R."""
        return len(self.donors)


def shuffles_of(cohort: Cohort, modality: str, permutations: int, seed: int) -> Shuffles:
    """Draw who gives whom their values of a modality."""
    rng = np.random.default_rng(seeded(seed, modality))
    rows = cohort.rows_of(modality)
    drawn_from = len(rows) if len(rows) > MOST_PATIENTS else 0
    if drawn_from:
        rows = np.sort(rng.choice(rows, MOST_PATIENTS, replace=False))
    _, pattern = cohort.patterns()
    unit = _units(cohort, rows)
    _, own = np.unique(pattern[rows], return_inverse=True)
    enough = np.zeros(len(rows), bool)
    for group in np.unique(own):
        enough[own == group] = bool(_halves(rng, np.flatnonzero(own == group), unit))
    few = int((~enough).sum())
    rows, own, unit = rows[enough], own[enough], unit[enough]
    donors = np.zeros((permutations, len(rows)), int)
    half = np.zeros((permutations, len(rows)), bool)
    for k in range(permutations):
        for group in np.unique(own):
            for number, (part, step) in enumerate(_halves(rng, np.flatnonzero(own == group), unit)):
                donors[k, part] = np.roll(part, step)
                half[k, part] = bool(number)
    return Shuffles(rows, donors, half, unit, few, drawn_from)


def _units(cohort: Cohort, rows: Ints) -> Ints:
    """Number the groups of these rows; who has none, and everybody without groups, is alone."""
    if cohort.group is None:
        return np.arange(len(rows))
    return np.unique(alone_where_empty(cohort.group[rows]), return_inverse=True)[1].reshape(-1)


def _halves(rng: np.random.Generator, members: Ints, unit: Ints) -> list[tuple[Ints, int]]:
    """Cut the members of a pattern by their groups: each half in an order, and the step to somebody of another group.

    The larger groups come first, each into the smaller half, where its members stand side by side: a circle of more
    than twice the largest group, turned by that, gives nobody a donor of their own group. Whether it can be depends on
    the sizes alone, not on the draw; empty where a half has fewer than five, or a group is more than half of one.
    """
    groups, own, size = np.unique(unit[members], return_inverse=True, return_counts=True)
    mixed = rng.permutation(len(groups))
    parts: tuple[list[int], list[int]] = ([], [])
    taken = [0, 0]
    for group in mixed[np.argsort(-size[mixed], kind="stable")]:
        side = int(taken[1] < taken[0])
        parts[side].append(int(group))
        taken[side] += int(size[group])
    made = []
    for part in parts:
        place = np.full(len(groups), -1)
        place[part] = rng.permutation(len(part))
        inside = rng.permutation(np.flatnonzero(place[own] >= 0))
        step = int(size[part].max()) if part else 0
        if len(inside) < max(FEWEST_OF_A_PATTERN // 2, 2 * step):
            return []
        made.append((members[inside[np.argsort(place[own[inside]], kind="stable")]], step))
    return made


def predicts(model: Model) -> Predicts:
    """Return what predicts encoded patients in the order of their ids, without asking again what they are.

    A fitted model's link is in that order; `predict` is in the order of the file, and copies have another one.
    """
    if not isinstance(model, FittedModel):
        return lambda cohort: model.predict(cohort).drop(columns="pattern").loc[list(cohort.ids)]

    def link(cohort: Cohort) -> pd.DataFrame:
        known = cohort.with_modalities([name for name in cohort.modalities if name in model.modalities])
        return model.response.frame(model.predictor.link(known))

    return link


def shuffled_predictions(
    predict: Predicts, cohort: Cohort, pieces: Sequence[Piece], shuffles: Shuffles
) -> Iterator[tuple[int, int, pd.DataFrame]]:
    """Yield (place among `pieces`, permutation, prediction of `shuffles.rows`), the pieces all of one modality.

    Several copies of the patients, each with other columns shuffled, are predicted together.
    """
    modality, base = pieces[0].modality, cohort.subset(shuffles.rows)
    frame = base.raw(modality)
    frame.columns = frame.columns.map(str)
    n = len(frame)
    work = [(place, k) for place in range(len(pieces)) for k in range(shuffles.permutations)]
    together = max(1, min(VALUES_AT_ONCE // max(1, frame.size), ROWS_AT_ONCE // n))
    for start in range(0, len(work), together):
        part = work[start : start + together]
        changed = _shuffled(frame, [(pieces[place].columns, shuffles.donors[k]) for place, k in part])
        copies = repeated(base, len(part))
        everybody = np.ones(len(changed), bool)
        names = np.array([f"{number:016d}" for number in range(len(changed))], DIGEST)
        copies = copies.with_values(modality, cohort.kinds[modality], changed, everybody, None, names)
        predicted = predict(copies)
        for number, (place, k) in enumerate(part):
            yield place, k, predicted.iloc[number * n : (number + 1) * n]


def repeated(cohort: Cohort, times: int) -> Cohort:
    """Return every patient several times under other ids, one copy of all after another, without any outcome."""
    place = np.tile(np.arange(len(cohort)), times)
    return replace(
        cohort,
        ids=np.array([f"{number:012d}" for number in range(len(place))]),
        file_rows=np.arange(2, len(place) + 2),
        target=None,
        outcome=None,
        source_rows={name: rows[place] for name, rows in cohort.source_rows.items()},
        group=None,
        site=None,
        fold=None,
        index_hours={name: hours[place] for name, hours in cohort.index_hours.items()},
        knowledge=None if cohort.knowledge is None else cohort.knowledge.take(place),
        findings=(),
        sealed=None,
        lenders=(),
        lent_models=(),
    )


def _shuffled(frame: pd.DataFrame, work: Sequence[tuple[tuple[str, ...], Ints]]) -> pd.DataFrame:
    """Put copies of a frame below each other, of each some columns taken from other rows."""
    kinds = set(frame.dtypes)
    if len(kinds) > 1 or next(iter(kinds)).kind != "f":
        parts = []
        for columns, donors in work:
            copy = frame.copy()
            for column in columns:
                copy[column] = frame[column].to_numpy()[donors]
            parts.append(copy)
        return pd.concat(parts)
    known, n = frame.to_numpy(), len(frame)
    values = np.tile(known, (len(work), 1))
    for number, (columns, donors) in enumerate(work):
        places = frame.columns.get_indexer(pd.Index(columns))
        values[number * n : (number + 1) * n, places] = known[np.ix_(donors, places)]
    return pd.DataFrame(values, columns=frame.columns)
