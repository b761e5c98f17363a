"""What a synthetic cohort gives away of the patients that its generator was fitted to, beside patients it never saw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from chiasm.errors import count
from chiasm.generation.distances import Space, doubles, nearest, same_rows, shared, too_near
from chiasm.generation.margins import HIDDEN
from chiasm.generation.rows import Rows

Array = NDArray[np.float64]
Z = 1.959964
MOST_ATTRIBUTES = 12
MOST_COMBINED = 5
LIMITS = {
    "copies": 0.0, "near_copies": 0.01, "nearest": 0.3, "membership": 0.6, "attribute": 0.05,
    "rare": 0.1, "rare_pair": 0.1, "rare_value": 0.1,
}  # fmt: skip
"""Above which a set is refused, where the interval lies above what the same measure is without a leak."""
UNLIMITED = "density"


@dataclass(frozen=True)
class Measure:
    """One measure of what is given away.

    Args:
        id, what: its name, and what it measures in a phrase.
        value, low, high: with its 95 % interval.
        harmless: what it is where nothing is given away.
        limit: above which the set is refused if the interval lies above `harmless`; None: it is reported alone.
    """

    id: str
    what: str
    value: float
    low: float
    high: float
    harmless: float
    limit: float | None

    @property
    def refused(self) -> bool:
        """True if the set gives away too much by this measure."""
        return self.limit is not None and self.value > self.limit and self.low > self.harmless


@dataclass(frozen=True)
class Privacy:
    """A privacy report.

    Args:
        measures: see each.
        counts: patients of the training set, held out, and drawn; copies, near copies, and rows of rare combinations.
    """

    measures: tuple[Measure, ...]
    counts: dict[str, int]

    @property
    def refused(self) -> tuple[str, ...]:
        """Why the set is not to be given away, a sentence for each measure above its limit; empty: it may be."""
        return tuple(
            f"{own.what} is {own.value:.3f} ({own.low:.3f} to {own.high:.3f}), above the limit of {own.limit:g}"
            for own in self.measures
            if own.refused
        )

    def as_json(self) -> dict[str, Any]:
        """The report as JSON holds it: no value of a patient."""
        return {
            "counts": self.counts,
            "measures": [{**asdict(own), "refused": own.refused} for own in self.measures],
            "refused": list(self.refused),
        }


def privacy_of(train: Rows, held: Rows, made: Rows, density: Callable[[Rows], Array] | None = None) -> Privacy:
    """Compare a synthetic set with the patients that its generator was fitted to, and with patients held out from it.

    Every measure is a difference between the two, who come from one cohort: whatever is as near to patients held out
    as to those of the training set tells what patients are like, and of none of them that he was there.

    Args:
        train, held, made: training patients, patients held out, and synthetic ones, of the same blocks.
        density: log density of patients under the generator, which is not given away itself; None: it has none.
    """
    space = Space.fit(train, held, made)
    inside, outside, drawn = (space.features(own) for own in (train, held, made))
    copied, by_chance = same_rows(made, train), np.concatenate([same_rows(held, train), doubles(train)])
    trifles, among_real = too_near(np.concatenate([drawn, outside]), inside)
    trifles, among_real = trifles[: len(made)], np.concatenate([trifles[len(made) :], among_real])
    columns = combined(train)
    together, single = [columns[:MOST_COMBINED]] if columns else [], [[own] for own in columns]
    pairs = [list(own) for own in combinations(columns[:MOST_COMBINED], 2)]
    rare = {name: [_in_rare(own, train, sets) for own in (made, held)]
            for name, sets in (("rare", together), ("rare_pair", pairs), ("rare_value", single))}  # fmt: skip
    measures = [
        Measure("copies", "the share of synthetic rows that copy a training patient, beyond that of real patients",
                *difference(copied, by_chance), 0.0, LIMITS["copies"]),
        Measure("near_copies", "the share of synthetic rows that are a training patient but for a trifle, beyond that "
                "of real patients", *difference(trifles, among_real), 0.0, LIMITS["near_copies"]),
        Measure("nearest", "the share of synthetic rows nearest to a training patient and to none held out, beyond "
                "chance",
                *nearer(drawn, inside, outside), 0.0, LIMITS["nearest"]),
        Measure("membership", "the AUROC of who was in the training set, by the distance to the nearest synthetic row",
                *auroc(-nearest(inside, drawn)[0], -nearest(outside, drawn)[0]), 0.5, LIMITS["membership"]),
        *([] if len(set(space.owners)) < 2 else [
            Measure("attribute", "what the nearest synthetic row says better of a column of a training patient than "
                    "of one held out", *_attributes(space, (train, held, made), (inside, outside, drawn)), 0.0,
                    LIMITS["attribute"])]),
        *(Measure(name, f"the share of synthetic rows {what} fewer than {HIDDEN} training patients have, beyond that "
                  "of patients held out", *difference(*rare[name]), 0.0, LIMITS[name])
          for name, what in (("rare", "whose categories together"), ("rare_pair", "of which two categories together"),
                             ("rare_value", "with a category that"))),
    ]  # fmt: skip
    if density is not None:
        found = auroc(density(train), density(held))
        what = "the AUROC of who was in the training set, by the density of the generator, which is not given away"
        measures.append(Measure(UNLIMITED, what, *found, 0.5, None))
    counts = {
        "training": len(train), "held_out": len(held), "synthetic": len(made), "copies": int(copied.sum()),
        "near_copies": int(trifles.sum()), "rare_combinations": int(rare["rare"][0].sum()),
        "rare_values": int(rare["rare_value"][0].sum()),
    }  # fmt: skip
    return Privacy(tuple(measures), counts)


def auroc(inside: Array, outside: Array) -> tuple[float, float, float]:
    """The AUROC of scores of members against those of others, with DeLong's interval."""
    n, m = len(inside), len(outside)
    joint = rankdata(np.concatenate([inside, outside]))
    of_members = (joint[:n] - rankdata(inside)) / m
    of_others = 1 - (joint[n:] - rankdata(outside)) / n
    value = float(of_members.mean())
    error = float(np.sqrt(of_members.var(ddof=1) / n + of_others.var(ddof=1) / m))
    return value, max(0.0, value - Z * error), min(1.0, value + Z * error)


def nearer(drawn: Array, inside: Array, outside: Array) -> tuple[float, float, float]:
    """How much more often than by chance the nearest real patient is of the training set: 0 by chance, 1 always.

    Of real patients who are as near each is the nearest in part.

    The interval is over who of the real patients is held out: with c_j rows nearest to patient j, of n patients inside
    and m outside, the variance of their share is `n m / ((n + m) (n + m - 1)) sum_j (c_j - mean)^2 / rows^2`.
    """
    real = np.concatenate([inside, outside])
    n, m = len(inside), len(outside)
    found = shared(drawn, real)
    chance = n / (n + m)
    share = found[:n].sum() / len(drawn)
    scatter = float(((found - found.mean()) ** 2).sum())
    error = np.sqrt(n * m / ((n + m) * (n + m - 1)) * scatter) / len(drawn) / (1 - chance)
    value = float((share - chance) / (1 - chance))
    return value, float(value - Z * error), float(min(1.0, value + Z * error))


def difference(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, float, float]:
    """Difference of two means with its interval; of shares by one patient more on either side (Agresti and Caffo)."""
    value = float(one.mean() - other.mean())
    if one.dtype == bool:
        shares = [(own.sum() + 1) / (len(own) + 2) for own in (one, other)]
        error = float(np.sqrt(sum(p * (1 - p) / (len(own) + 2) for p, own in zip(shares, (one, other), strict=True))))
        centre = float(shares[0] - shares[1])
    else:
        error = float(np.sqrt(one.var(ddof=1) / len(one) + other.var(ddof=1) / len(other)))
        centre = value
    return value, centre - Z * error, centre + Z * error


def _attributes(
    space: Space, rows: tuple[Rows, Rows, Rows], features: tuple[Array, Array, Array]
) -> tuple[float, float, float]:
    """How much more right the nearest synthetic row is on a column that the attacker lacks, the mean over columns."""
    owners = space.owners
    asked = _asked(space)
    train, held, made = rows
    right: list[list[Array]] = [[], []]
    for attribute in asked:
        kept = np.array([own != attribute for own in owners])
        for place, known in enumerate((train, held)):
            found = nearest(features[place][:, kept], features[2][:, kept])[1]
            right[place].append(_right(space, attribute, known, made, found))
    stacked = [np.stack(own) for own in right]
    told = [own[:, ~np.isnan(own).all(axis=0)] for own in stacked]
    return difference(*(np.nanmean(own, axis=0) for own in told))


def _asked(space: Space) -> list[tuple[str, str]]:
    """At most twelve columns, from each block in turn, as a fixed draw orders its own."""
    rng = np.random.default_rng(0)
    turns = [
        (turn, place, (name, own.columns[column]))
        for place, (name, own) in enumerate(space.margins.items())
        for turn, column in enumerate(rng.permutation(len(own.columns)).tolist())
    ]
    return [attribute for _, _, attribute in sorted(turns)[:MOST_ATTRIBUTES]]


def _right(space: Space, attribute: tuple[str, str], rows: Rows, made: Rows, found: NDArray[np.int_]) -> Array:
    """1 where a word is right, 1 less the difference of ranks of a number; NaN where the patient has no value."""
    name, column = attribute
    own, told = rows.blocks[name][column], made.blocks[name][column].iloc[found].reset_index(drop=True)
    if column in space.margins[name].levels:
        right = (own.astype(object) == told.astype(object)).to_numpy(np.float64)
    else:
        place = space.margins[name].columns.index(column)
        ranks = [
            ndtr(space.margins[name].scores(frame.blocks[name][list(space.margins[name].columns)])[:, place])
            for frame in (rows, made)
        ]
        right = 1 - np.abs(ranks[0] - ranks[1][found])
        right = np.where(told.isna().to_numpy(), 0.0, right)
    return np.where(own.isna().to_numpy(), np.nan, right)


def _in_rare(rows: Rows, train: Rows, sets: Sequence[Sequence[tuple[str, str]]]) -> NDArray[np.bool_]:
    """`(n,)` True for who has in one of these sets of columns what some training patients have, and fewer than five."""
    found = np.zeros(len(rows), dtype=bool)
    for columns in sets:
        kinds, sizes = np.unique(_tuples(train, columns), return_counts=True)
        found |= np.isin(_tuples(rows, columns), kinds[sizes < HIDDEN])
    return found


def combined(train: Rows) -> list[tuple[str, str]]:
    """The columns whose values may name somebody: words, and numbers of at most ten levels; most levels first."""
    own = {
        (name, str(column)): frame[column].nunique()
        for name, frame in train.blocks.items()
        if frame.shape[1] <= MOST_ATTRIBUTES * 4
        for column in frame.columns
        if frame[column].dtype == object or frame[column].nunique() <= 10
    }
    return sorted(own, key=lambda place: (-own[place], place))


def _tuples(rows: Rows, columns: Sequence[tuple[str, str]]) -> NDArray[np.str_]:
    parts = [rows.blocks[name][column].map(str) for name, column in columns]
    return np.array(["\0".join(cells) for cells in zip(*parts, strict=True)], dtype=str)


def told(privacy: Privacy) -> tuple[str, ...]:
    """Say the report in sentences."""
    own = privacy.counts
    said = [
        f"{count(own['synthetic'], 'synthetic patient')}, drawn from a generator that was fitted to "
        f"{count(own['training'], 'patient')}; {own['held_out']:,} were held out to compare with.",
    ]
    if own["copies"] + own["near_copies"]:
        said.append(
            f"{own['copies']:,} of them are a training patient in every cell, and {own['near_copies']:,} one who has "
            "no double, wholly or but for a trifle."
        )
    if not any(measure.id == "attribute" for measure in privacy.measures):
        said.append("What a row says of a column given the others is not measured: there is one column alone.")
    said += [f"Refused: {sentence}." for sentence in privacy.refused]
    if not privacy.refused:
        unsure = [own.id for own in privacy.measures if own.limit is not None and own.value > own.limit]
        if unsure:
            said.append(
                f"Above its limit, but with an interval that reaches what is harmless, lies {', '.join(unsure)}: "
                "a larger cohort would tell more."
            )
        other = "other measure" if unsure else "measure"
        said.append(
            f"No {other} of what is given away is above its limit; that proves no safety against other attacks."
        )
    return tuple(said)
