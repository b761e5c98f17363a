"""Patients as numbers and levels for a network: normal scores, places of levels, factors of wide blocks, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.generation.copula import NARROW
from chiasm.generation.gaussian import bartlett, factors_of
from chiasm.generation.lacks import LACKS, PRESENT, assembled, who_has, with_lacking
from chiasm.generation.margins import Margins, without_few
from chiasm.generation.rows import OUTCOME, Rows

Array = NDArray[np.float64]


class Coded(NamedTuple):
    """Patients in numbers: `numbers` `(n, P)`, NaN where not known; `codes` `(n, C)` places of levels, -1 likewise."""

    numbers: Array
    codes: NDArray[np.int_]


@storable("wide-block")
@dataclass(frozen=True)
class Wide:
    """A wide block upon factors: `z / spread = L f scale + e`."""

    loadings: Array
    noise: Array
    spread: Array
    scale: Array


@storable("mixed-columns")
@dataclass(frozen=True)
class MixedColumns:
    """How columns become numbers and levels; it holds quantiles and shares of levels, and of nobody a row.

    Words, and numbers of at most ten values, are levels; so is who lacks a block and which cells are missing. A block
    of more columns than 20 and than a tenth of the patients becomes its factors.

    Args:
        margins: block to the distributions of its columns, with those of who lacks the block and which cells.
        columns: block to its own columns, in order.
        wide: block to its factors.
        declared: columns of each block that are words although they look like numbers.
    """

    margins: dict[str, Margins]
    columns: dict[str, tuple[str, ...]]
    wide: dict[str, Wide]
    declared: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, rows: Rows, factors: int = 0, of_range: bool = False) -> Self:
        """Fit to patients; no level of fewer than five is kept but those of the outcome, and of nobody his extreme.

        Args:
            of_range: look at no more of a column than its lowest and highest value, its decimals and its words.

        Raises:
            Unsupported: `of_range`, and a block is so wide that it stands on factors.
        """
        margins, wide = {}, {}
        widest = max(NARROW, len(rows) // 10)
        for name, frame in _frames(rows, words_alone=of_range).items():
            known = [c for c in map(str, frame.columns) if name in (OUTCOME, PRESENT) or c.startswith(LACKS)]
            margins[name] = own = Margins.of_range(frame, known) if of_range else Margins.fit(frame)
            if len(own.columns) > widest and name not in (OUTCOME, PRESENT):
                if of_range:
                    raise Unsupported(
                        f"modality '{name}' has {len(own.columns):,} columns, which stand on factors that would be "
                        "learnt without privacy: leave it out of the manifest, or ask for no --dp"
                    )
                scores = own.scores(frame)
                spread = np.nanstd(scores, axis=0)
                spread = np.where(spread > 1e-6, spread, 1.0)
                loadings, noise, found = factors_of(scores / spread, factors)
                scale = np.nanstd(found, axis=0)
                wide[name] = Wide(loadings, noise, spread, np.where(scale > 1e-6, scale, 1.0))
        columns = {name: tuple(map(str, own.columns)) for name, own in rows.blocks.items()}
        return cls(margins, columns, wide, dict(rows.declared))

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """Block and column of each of the P numbers; of a wide block its factors."""
        found = []
        for name, own in self.margins.items():
            if name in self.wide:
                found += [(name, f"factor {k}") for k in range(self.wide[name].loadings.shape[1])]
            else:
                found += [(name, column) for column in own.columns if column not in own.levels]
        return found

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Block and column of each of the C columns of levels."""
        return [
            (name, column)
            for name, own in self.margins.items()
            if name not in self.wide
            for column in own.columns
            if column in own.levels
        ]

    @property
    def sizes(self) -> list[int]:
        """Number of levels of each of the C columns, at least 1."""
        return [max(1, len(self.margins[name].levels[column])) for name, column in self.codes]

    def coded(self, rows: Rows, fitted: bool = False) -> Coded:
        """Patients in numbers; a block that they do not hold is not known.

        Args:
            fitted: they are those of the fit, so that each has the level that his was merged into; else a number
                that is no level has the nearest one.
        """
        n, numbers, codes = len(rows), [np.zeros((len(rows), 0))], [np.zeros((len(rows), 0), dtype=int)]
        for name, own in self.margins.items():
            if name == PRESENT:
                frame = who_has(rows, own.columns)
            elif name in rows.blocks:
                frame = with_lacking(rows.blocks[name], rows.present[name], own.columns)
                few = [one for one in self.columns[name] if one in own.levels] if fitted and name != OUTCOME else []
                frame = without_few(frame, few)
            else:
                frame = pd.DataFrame(np.nan, index=range(n), columns=list(own.columns))
            if name in self.wide:
                part = self.wide[name]
                scores = own.scores(frame) / part.spread
                numbers.append(bartlett(scores, part.loadings, part.noise) / part.scale)
                continue
            scores = own.scores(frame)
            numbers.append(scores[:, [k for k, column in enumerate(own.columns) if column not in own.levels]])
            for column in (one for one in own.columns if one in own.levels):
                places = own.places(column, frame[column])
                codes.append(np.where(places == len(own.levels[column]), -1, places)[:, None])
        return Coded(np.concatenate(numbers, axis=1), np.concatenate(codes, axis=1))

    def rows(self, coded: Coded, given: Rows | None, rng: np.random.Generator | None) -> Rows:
        """Patients of numbers and levels, all known; without `rng` a wide block has no noise of its own.

        Args:
            given: patients whose present cells stay as they are, and of whom nothing is missing; None: who lacks a
                block, and which cells are missing, is what the levels say.
        """
        n, values, at = len(coded.numbers), {}, 0
        place = {own: k for k, own in enumerate(self.codes)}
        for name, own in self.margins.items():
            if name in self.wide:
                part, many = self.wide[name], self.wide[name].loadings.shape[1]
                mean = (coded.numbers[:, at : at + many] * part.scale) @ part.loadings.T
                at += many
                noise = 0.0 if rng is None else rng.normal(size=mean.shape) * np.sqrt(part.noise)
                values[name] = own.values((mean + noise) * part.spread)
                continue
            scores = np.full((n, len(own.columns)), np.nan)
            plain = [k for k, column in enumerate(own.columns) if column not in own.levels]
            scores[:, plain] = coded.numbers[:, at : at + len(plain)]
            at += len(plain)
            frame = own.values(scores)
            levels = {c: own.named(c, coded.codes[:, place[name, c]]) for c in own.columns if c in own.levels}
            values[name] = frame.assign(**levels)[list(own.columns)]
        return assembled(values, self.columns, self.declared, given)

    def indicators(self) -> tuple[NDArray[np.bool_], NDArray[np.int_]]:
        """`(C,)` which columns of levels say what is missing, and `(C,)` their level of what is there."""
        says = np.array([name == PRESENT or column.startswith(LACKS) for name, column in self.codes], dtype=bool)
        there = np.zeros(len(says), dtype=int)
        for place in np.flatnonzero(says):
            name, column = self.codes[place]
            levels, wanted = self.margins[name].levels[column], repr(float(name == PRESENT))
            there[place] = levels.index(wanted) if wanted in levels else 0  # nobody has it: there is one level
        return says, there

    def indicated(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """`(P,)` and `(C,)`: of which numbers and levels another column says whether they are missing."""

        def told(name: str, column: str) -> bool:
            return name in self.margins[PRESENT].columns or LACKS + column in self.margins[name].columns

        return (
            np.array([told(*own) for own in self.numbers], dtype=bool),
            np.array([told(*own) for own in self.codes], dtype=bool),
        )


def _frames(rows: Rows, words_alone: bool) -> dict[str, pd.DataFrame]:
    """What is fitted to: levels of few patients are merged, of words alone where numbers have no levels."""
    frames = {name: with_lacking(own, rows.present[name]) for name, own in rows.blocks.items()}
    frames |= {
        name: without_few(own, [c for c in rows.blocks[name].columns if not words_alone or own[c].dtype == object])
        for name, own in frames.items()
        if name != OUTCOME
    }
    some: Sequence[str] = [name for name, own in rows.present.items() if not own.all()]
    return frames | {PRESENT: who_has(rows, tuple(some))}
