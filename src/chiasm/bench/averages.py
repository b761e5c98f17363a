"""Figures that weigh tasks or data sets alike, however many items each has, or look at some of the items alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.bench.figures import ACCURACY, TOKEN_F1, Figure, MacroF1, Mean, random_accuracy
from chiasm.bench.item import Item, same_options
from chiasm.bench.marks import Marks
from chiasm.metrics.weighted import Floats


def right_or_near(marks: Marks) -> Floats:
    """(N,) 1 or 0 where there are options, the F1 of the words where the answer is a text."""
    near = TOKEN_F1.values(marks)
    return np.where(np.isfinite(marks.right), marks.right, near)


def random_right(items: Sequence[Item]) -> float:
    """Expected score of random answers, 0 for texts."""
    return float(np.mean([len(own.positions) / len(own.options) if own.options else 0.0 for own in items]))


RIGHT_OR_NEAR = Mean("score", "score (accuracy, or token F1 of texts)", right_or_near, random_right)


def levels_of(items: Sequence[Item], tag: str) -> NDArray[np.str_]:
    """(N,) value of a tag, "" for none."""
    return np.array([item.tags.get(tag, "") for item in items], dtype=np.str_)


@dataclass(frozen=True)
class MeanOver:
    """A figure computed within each value of a tag, and averaged over them: `1/L sum_l f_l`.

    A draw in which a value has no item leaves it out of its mean.

    Args:
        tag: whose values weigh alike.
        inner: the figure within each, or what gives the figure of each value and its items.
    """

    tag: str
    inner: Figure | Callable[[str, Sequence[Item]], Figure]
    id: str
    label: str
    higher_is_better: bool | None = True

    def parts(self, items: Sequence[Item]) -> list[tuple[str, NDArray[np.bool_], Figure]]:
        """List each value of the tag, its items, and its figure."""
        levels = levels_of(items, self.tag)
        found = []
        for level in np.unique(levels[levels != ""]).tolist():
            mask = levels == level
            own = [item for item, kept in zip(items, mask.tolist(), strict=True) if kept]
            inner = self.inner if isinstance(self.inner, Figure) else self.inner(level, own)
            found.append((level, np.asarray(mask), inner))
        return found

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute it under each of R weightings (R, N); NaN where no value has an item."""
        each = [figure.draws(marks.take(mask), weights[:, mask]) for _, mask, figure in self.parts(marks.items)]
        if not each:
            return np.full(len(weights), np.nan)
        stacked = np.stack(each)
        there = np.isfinite(stacked)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(there, stacked, 0.0).sum(axis=0) / there.sum(axis=0))

    def terms(self, marks: Marks) -> Floats | None:
        """Return None: what an item adds depends on how many others its value has."""
        return None

    def chance(self, items: Sequence[Item]) -> float:
        """Return the mean of what random answers score within each value; NaN where one is not known."""
        each = [
            figure.chance([item for item, kept in zip(items, mask.tolist(), strict=True) if kept])
            for _, mask, figure in self.parts(items)
        ]
        return float(np.mean(each)) if each else float("nan")


@dataclass(frozen=True)
class Balanced:
    """The mean of the recall of each right option, of items that share two: chance is 0.5 however rare one is."""

    id: str = "balanced_accuracy"
    label: str = "balanced accuracy"
    higher_is_better: bool | None = True

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute it (R,); NaN where one of the options is right nowhere."""
        truth = np.array([item.positions[0] if item.positions else -1 for item in marks.items], dtype=np.intp)
        recalls = []
        for k in range(max((len(item.options) for item in marks.items), default=0)):
            own = truth == k
            whole = weights[:, own].sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                recalls.append(np.where(whole > 0, weights[:, own] @ marks.right[own] / whole, np.nan))
        return np.asarray(np.mean(recalls, axis=0)) if recalls else np.full(len(weights), np.nan)

    def terms(self, marks: Marks) -> Floats | None:
        """Return None: it is no mean over items."""
        return None

    def chance(self, items: Sequence[Item]) -> float:
        """Return one over the number of options."""
        shared = same_options(items)
        return 1 / len(shared) if shared else float("nan")


def only(figure_id: str, label: str, tag: str, level: str) -> Mean:
    """Return accuracy on the items of one value of a tag."""

    def values(marks: Marks) -> Floats:
        return np.where(levels_of(marks.items, tag) == level, marks.right, np.nan)

    def expected(items: Sequence[Item]) -> float:
        return random_accuracy([item for item in items if item.tags.get(tag) == level])

    return Mean(figure_id, label, values, expected)


def by_metric(metrics: Mapping[str, str]) -> Callable[[str, Sequence[Item]], Figure]:
    """Return what gives the figure of a task by the name of its metric: `accuracy`, `macro_f1` or `token_f1`.

    A task of an unknown name, or whose items do not allow its metric, is scored by accuracy or token F1.
    """

    def chosen(level: str, items: Sequence[Item]) -> Figure:
        metric, shared = metrics.get(level), same_options(items)
        if metric == "macro_f1" and shared and all(len(item.positions) == 1 for item in items):
            return MacroF1(shared)
        return ACCURACY if all(item.options for item in items) else RIGHT_OR_NEAR

    return chosen
