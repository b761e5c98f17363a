"""Boxes: which things are where in a patient's image, each with a label; of every label also how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, error
from chiasm.targets.box_cells import read_marked
from chiasm.targets.cells import Cells
from chiasm.targets.drawn import DrawnTarget
from chiasm.targets.marked import NO_BOXES, BoxesOfOne, Marked, as_text, of_text, usual_boxes
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Floats, Target

ANSWER = "boxes"
NUMBER = "count_"
NOTHING_FOUND = "[]"


@dataclass(frozen=True)
class Boxes(DrawnTarget):
    """Target of boxes: `Boxes("file", ("red", "white"))`, a column of paths, one file an image.

    A model predicts `boxes`, JSON of `[label, score, left, top, right, bottom]` in shares of the image, and `count_...`
    of each label. One that learns numbers alone says how many there are, and draws none.

    Args:
        column: column of paths of .xml (Pascal VOC), .json (COCO), .txt (YOLO) or .csv files, relative to the manifest;
            a cell may hold the boxes themselves, a list of `[label, left, top, right, bottom]` in shares of the image.
        labels: names of what boxes may hold; those of YOLO are counted in this order, from 0.
        size: width and height in pixels of the images of .csv files that do not say it; empty: they do.
    """

    size: tuple[float, ...] = ()
    kind: ClassVar[str] = "boxes"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "labels": (list[str], []),
        "size": (list[float], []),
    }
    has_boxes: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} patients of known boxes"
    answer: ClassVar[str] = ANSWER
    amount: ClassVar[str] = NUMBER
    nothing: ClassVar[str] = NOTHING_FOUND
    what: ClassVar[str] = "boxes"
    in_none: ClassVar[str] = "no image has a box"
    absent: ClassVar[str] = "without a box in any image"
    fix: ClassVar[str] = "left out of every mean over labels; or correct its name"

    def __post_init__(self) -> None:
        labels = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "size", tuple(float(own) for own in self.size))
        wrong = faults_of(self.labels, self.size)
        if not self.column or wrong:
            raise ValueError(wrong[0][0] if wrong else "a target of boxes needs the column of their files")

    @property
    def box_files(self) -> tuple[str, tuple[float, float]] | None:
        width, height = self.size or (float("nan"), float("nan"))
        return self.column, (width, height)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(keys["column"], tuple(keys["labels"]), tuple(keys["size"]))

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        wrong = faults_of(tuple(keys.get("labels") or ()), tuple(keys.get("size") or ()))
        missing = super().refused(keys, path)
        return [*missing, *(error(what, fix, path=path, finding="manifest-value") for what, fix in wrong)]

    # Reading

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        marked, known = read_marked(cells, self.column, self.labels)
        return self, Outcome(np.where(known[:, None], marked.counts, np.nan), None, known, boxes=marked)

    # Predicting

    @classmethod
    def usual(cls, known: Outcome) -> str:
        """What images have on average; see `marked.usual_boxes`."""
        marked = boxes_of(known)
        return as_text(usual_boxes(marked), marked.labels)

    @classmethod
    def require_readable(cls, text: str, names: Sequence[str]) -> None:
        of_text(text, names)

    # Writing

    def described(self, outcome: Outcome) -> dict[str, Any]:
        total = outcome.value[outcome.known].sum(axis=0)
        bare = int((outcome.value[outcome.known].sum(axis=1) == 0).sum())
        return {"classes": list(self.labels), "counts": [int(own) for own in total], "without_boxes": bare}

    def stored(self) -> dict[str, Any]:
        return {"kind": self.kind, "column": self.column, "labels": list(self.labels)}

    # Examples

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw max(0, round(3 + s + N(0, 1))) boxes of `a`, as many of `b` with 2 - s, at uniform places."""
        many = [
            np.maximum(0, np.round(own + rng.normal(size=len(signal)))).astype(int) for own in (3 + signal, 2 - signal)
        ]
        cells = []
        for each in zip(*many, strict=True):
            rows = []
            for label, number in zip("ab", each, strict=True):
                corner = rng.uniform(0, 0.8, size=(number, 2))
                rows += [[label, *own, *(own + 0.2)] for own in corner]
            cells.append([[name, *(float(own) for own in place)] for name, *place in rows])
        return pd.DataFrame({"found": pd.Series(cells, dtype=object)}), cls("found", ("a", "b")), many[0] + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the boxes as JSON; a cell is empty where none is known."""
        texts = [text if known else None for text, known in zip(boxes_of(outcome).texts, outcome.known, strict=True)]
        return pd.DataFrame({"marks": texts}, index=ids), replace(self, column="marks")


def numbers_of(names: Sequence[str]) -> list[str]:
    """Columns of a prediction that say how many there are of each label."""
    return Boxes.number_columns(names)


def faults_of(labels: Sequence[str], size: Sequence[float]) -> list[tuple[str, str]]:
    """What is wrong with the labels and the size of a target, each with what to do."""
    found = []
    if not labels or len(set(labels)) < len(labels) or not all(own.strip() for own in labels):
        fix = 'list each once, as labels = ["red", "white"]; those of YOLO in the order of their numbers'
        found.append(("[target] names no labels of boxes, or one twice", fix))
    if size and (len(size) != 2 or not all(np.isfinite(own) and own > 0 for own in size)):
        found.append(("'size' of [target] is no width and height", "write pixels, as size = [640, 480]"))
    return found


def boxes_of(outcome: Outcome) -> Marked:
    """The boxes of an outcome.

    Raises:
        ValueError: it has none.
    """
    if outcome.boxes is None:
        raise ValueError("the outcome has no boxes: what is found is held against those that were drawn")
    return outcome.boxes


def found_of(link: Floats, labels: int) -> list[BoxesOfOne]:
    """Boxes `(n,)` of a link `(n, K + 6 M)`, behind the numbers: label, score and corners of each, NaN for none."""
    if link.shape[1] == labels:
        return [NO_BOXES] * len(link)
    rows = link[:, labels:].reshape(len(link), -1, 6)
    kept = [own[np.isfinite(own).all(axis=1)] for own in rows]
    return [BoxesOfOne.of(own[:, 0].astype(int), own[:, 2:], own[:, 1]) for own in kept]
