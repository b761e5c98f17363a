"""Figures of a suite: a value from marks and weights, what random answers score, and what one unit adds.

Items of a group are judged together where a figure is by group: a set is right if all of its items are; it is
confused if all of them get the same option. Source of both: MediConfusion, arXiv:2409.15477.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from chiasm.bench.item import Item, same_options
from chiasm.bench.marks import Marks
from chiasm.language.parsing import folded
from chiasm.metrics.weighted import Floats
from chiasm.targets.words import normalised

_BETWEEN_PARTS = re.compile(r"(?<!\d),|,(?!\d)|;|\band\b")  # a comma between digits is one of a number


@runtime_checkable
class Figure(Protocol):
    """What is computed of marks.

    `id` is its name in tables and JSON; `higher_is_better` None for one that is only shown.
    """

    @property
    def id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def higher_is_better(self) -> bool | None: ...

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute it under each of R weightings (R, N) of the items; NaN where it is not defined."""
        ...

    def terms(self, marks: Marks) -> Floats | None:
        """Return (N,) what each item adds to a mean, NaN for none; None where the figure is no mean."""
        ...

    def chance(self, items: Sequence[Item]) -> float:
        """Return what answers drawn at random are expected to score; NaN where that is not known."""
        ...


@dataclass(frozen=True)
class Mean:
    """A mean over items or groups: `sum w v / sum w` over those that have a value v; `of_groups` judges whole ones."""

    id: str
    label: str
    values: Callable[[Marks], Floats]
    expected: Callable[[Sequence[Item]], float] = lambda items: float("nan")
    higher_is_better: bool | None = True
    of_groups: bool = False

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute the weighted mean (R,)."""
        values = self.values(marks)
        there = np.isfinite(values)
        total = weights[:, there].sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(total > 0, weights[:, there] @ values[there] / total, np.nan)

    def terms(self, marks: Marks) -> Floats | None:
        """Return the value of each item."""
        return self.values(marks)

    def chance(self, items: Sequence[Item]) -> float:
        """Return the expected mean of random answers."""
        return self.expected(items)


@dataclass(frozen=True)
class MacroF1:
    """F1 of each label, averaged, for items that share their options; an answer that is none of them is a miss.

    A label that neither is right anywhere nor was named counts as 0, as in scikit-learn with `labels` given.
    """

    labels: tuple[str, ...]
    id: str = "macro_f1"
    label: str = "macro F1"
    higher_is_better: bool | None = True

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute it (R,): by scikit-learn for one weighting, and by the same sums for many."""
        truth = np.array([item.positions[0] for item in marks.items], dtype=np.intp)
        if len(weights) == 1:
            from sklearn.metrics import f1_score  # type: ignore[import-untyped]

            found = f1_score(
                truth,
                marks.positions,
                labels=range(len(self.labels)),
                average="macro",
                sample_weight=weights[0],
                zero_division=0,
            )
            return np.array([found], dtype=np.float64)
        each = []
        for k in range(len(self.labels)):
            is_k, named = truth == k, marks.positions == k
            both = weights[:, is_k & named].sum(axis=1)
            whole = weights[:, is_k].sum(axis=1) + weights[:, named].sum(axis=1)
            each.append(np.where(whole > 0, 2 * both / np.maximum(whole, 1e-12), 0.0))
        return np.asarray(np.mean(each, axis=0))

    def terms(self, marks: Marks) -> Floats | None:
        """Return None: it is no mean over items."""
        return None

    def chance(self, items: Sequence[Item]) -> float:
        """Return NaN: it depends on how often each label is right."""
        return float("nan")


def random_accuracy(items: Sequence[Item]) -> float:
    """Expected share of right answers drawn evenly from each item's options."""
    shares = [len(item.positions) / len(item.options) for item in items if item.options]
    return float(np.mean(shares)) if shares else float("nan")


def random_sets(items: Sequence[Item]) -> float:
    """Expected share of groups whose items are all right by answers drawn evenly: the product within each."""
    products: dict[str, float] = {}
    for item in items:
        products[item.unit] = products.get(item.unit, 1.0) * len(item.positions) / len(item.options)
    return float(np.mean(list(products.values()))) if products else float("nan")


def random_confusion(items: Sequence[Item]) -> float:
    """Expected share of groups whose items all get the same position by answers drawn evenly: K of K^n."""
    sizes: dict[str, list[int]] = {}
    for item in items:
        sizes.setdefault(item.unit, []).append(len(item.options))
    shares = [min(own) / float(np.prod(own)) for own in sizes.values() if len(own) > 1]
    return float(np.mean(shares)) if shares else float("nan")


def sets_right(marks: Marks) -> Floats:
    """(N,) at the first item of each group 1 if all of the group are right."""
    found = np.full(len(marks.items), np.nan)
    for members in marks.members:
        found[members[0]] = float(marks.right[members].all())
    return found


def sets_confused(marks: Marks) -> Floats:
    """(N,) at the first item of each group of several 1 if all of them got the same option.

    NaN where one of them got none: whoever does not answer is not confused, nor clear.
    """
    found = np.full(len(marks.items), np.nan)
    for members in marks.members:
        if len(members) > 1:
            places = set(marks.positions[members].tolist())
            found[members[0]] = np.nan if -1 in places else float(len(places) == 1)
    return found


def exact_matches(marks: Marks) -> Floats:
    """(N,) 1 where a free text is one of the accepted, in any case, order of parts at commas, and without articles."""
    return _of_texts(
        marks, lambda said, right: float(_parts(said) == _parts(right) if _parts(right) else _same(said, right))
    )


def token_overlap(marks: Marks) -> Floats:
    """(N,) F1 of the words of a free text and of the nearest accepted text (SQuAD, arXiv:1606.05250)."""
    return _of_texts(
        marks, lambda said, right: _f1(_words(said), _words(right)) if _words(right) else _same(said, right)
    )


def _of_texts(marks: Marks, score: Callable[[str, str], float]) -> Floats:
    pairs = zip(marks.items, marks.texts, marks.ways, strict=True)
    return np.array(
        [
            np.nan
            if item.options
            else max((score(text, own) for own in item.accepted), default=0.0) * (way == "answered")
            for item, text, way in pairs
        ],
        dtype=np.float64,
    )


def _words(text: str) -> list[str]:
    return normalised(text, " ").split()


def _same(said: str, right: str) -> float:
    """Compare texts of which no word is left, as the blood group A without articles, or a mark."""
    return float(folded(said) == folded(right))


def _parts(text: str) -> list[str]:
    return sorted(" ".join(_words(part)) for part in _BETWEEN_PARTS.split(text) if _words(part))


def _f1(said: list[str], right: list[str]) -> float:
    shared = sum(min(said.count(word), right.count(word)) for word in set(said))
    return 2 * shared / (len(said) + len(right)) if shared else 0.0


ACCURACY = Mean("accuracy", "accuracy", lambda marks: marks.right, random_accuracy)
ANSWERED = Mean("answered", "share answered", lambda marks: marks.answered, higher_is_better=None)
SETS = Mean("set_accuracy", "set accuracy", sets_right, random_sets, of_groups=True)
CONFUSION = Mean(
    "confusion", "confusion of sets answered whole", sets_confused, random_confusion, higher_is_better=False,
    of_groups=True,
)  # fmt: skip
EXACT = Mean("exact_match", "exact match", exact_matches)
TOKEN_F1 = Mean("token_f1", "token F1", token_overlap)


OVERALL = Mean(
    "overall",
    "overall accuracy",
    lambda marks: np.where(np.isfinite(marks.right), marks.right, exact_matches(marks)),
    lambda items: float(np.mean([len(own.positions) / len(own.options) if own.options else 0.0 for own in items])),
)


def fixed_label_figures(items: Sequence[Item]) -> list[Figure]:
    """Return macro F1 where all items share their options, one of them right, as yes, no and maybe."""
    labels = same_options(items)
    return [MacroF1(labels)] if labels and all(len(item.positions) == 1 for item in items) else []
