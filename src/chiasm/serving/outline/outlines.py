"""The label map of an open image while it is drawn: changes of a slice or of all of it, undone and done again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.serving.faults import refused
from chiasm.serving.outline.pictures import seen
from chiasm.targets.label_maps import LabelMap, map_of

MOST_STEPS = 200
MOST_RUNS = 2_000_000  # of all steps that can be undone; a change of more cannot
LONG = 1_024  # a run of more pixels is written by itself
SHAPE = (
    'a mask of a slice is {"shape": [rows, columns], "runs": [gap, length, label, ...]}, and its runs lie in it, each '
    "of a label from 1"
)

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, eq=False, repr=False)
class Step:
    """A change: of one slice as it is seen, or of the whole map; and the click that made it."""

    at: tuple[str, int] | None
    before: LabelMap
    after: LabelMap
    clicks: tuple[tuple[Any, ...], tuple[Any, ...]]

    @property
    def runs(self) -> int:
        return len(self.before.start) + len(self.after.start)


class Outline:
    """A label map `(D, H, W)` that is drawn, empty at first.

    Args:
        labels: K.
    """

    def __init__(self, shape: tuple[int, int, int], labels: int) -> None:
        self.labels = labels
        self.codes: Codes = np.zeros(shape, dtype=np.uint8 if labels < 256 else np.uint16)
        self.many = np.zeros(labels + 1, dtype=np.int64)
        self.many[0] = self.codes.size
        self.clicks: tuple[Any, ...] = ()
        self.by_hand = False  # a person has had a hand in it
        self.version = 0
        self.done: list[Step] = []
        self.undone: list[Step] = []

    def slice(self, plane: str, number: int) -> LabelMap:
        """The runs of a slice as it is seen."""
        return map_of(seen(self.codes, plane, number))

    def draw(
        self, plane: str, number: int, codes: NDArray[np.integer[Any]], clicks: tuple[Any, ...] | None = None
    ) -> None:
        """Draw a slice anew, by hand or by a click."""
        self.by_hand = True
        self._take(Step((plane, number), self.slice(plane, number), map_of(codes), self._between(clicks)))

    def replace(self, whole: LabelMap, clicks: tuple[Any, ...] | None = None, *, by_hand: bool = False) -> None:
        """Draw the whole map anew; one of two axes is the map of a picture.

        Args:
            by_hand: it was drawn by somebody, and not by the model of this image; so is what clicks asked for.
        """
        self.by_hand |= by_hand or clicks is not None
        self._take(Step(None, map_of(self.codes), whole, self._between(clicks)))

    def undo(self) -> bool:
        """Take back the last change; False where there is none."""
        if not self.done:
            return False
        own = self.done.pop()
        self.undone.append(own)
        self._set(own.at, own.before, own.clicks[0])
        return True

    def redo(self) -> bool:
        """Do again what was taken back last; False where there is nothing."""
        if not self.undone:
            return False
        own = self.undone.pop()
        self.done.append(own)
        self._set(own.at, own.after, own.clicks[1])
        return True

    def _between(self, clicks: tuple[Any, ...] | None) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return self.clicks, self.clicks if clicks is None else clicks

    def _take(self, own: Step) -> None:
        self.undone.clear()
        self.done.append(own)
        self._set(own.at, own.after, own.clicks[1])
        while len(self.done) > MOST_STEPS or sum(step.runs for step in self.done) > MOST_RUNS:
            del self.done[0]

    def _set(self, at: tuple[str, int] | None, own: LabelMap, clicks: tuple[Any, ...]) -> None:
        place: Codes = self.codes if at is None else seen(self.codes, *at)
        self.many -= self._counted(place)
        if at is None:
            place.reshape(-1)[:] = 0
            fill(place.reshape(-1), own)
        else:
            place[:] = own.codes
        self.many += self._counted(place)
        self.clicks = clicks
        self.version += 1

    def _counted(self, codes: Codes) -> NDArray[np.int64]:
        return np.array([np.count_nonzero(codes == code) for code in range(self.labels + 1)], dtype=np.int64)


def fill(flat: Codes, own: LabelMap) -> None:
    """Write the runs of a map into its flattened codes, part by part, so that no larger copy is made."""
    long = own.length > LONG
    for start, length, label in zip(own.start[long], own.length[long], own.label[long], strict=True):
        flat[start : start + length] = label + 1
    starts, lengths, labels = own.start[~long], own.length[~long], own.label[~long]
    part = 1 << 12
    for first in range(0, len(starts), part):
        length = lengths[first : first + part]
        before = np.cumsum(length) - length
        place = np.repeat(starts[first : first + part] - before, length) + np.arange(int(length.sum()))
        flat[place] = np.repeat(labels[first : first + part] + 1, length)


def as_runs(own: LabelMap) -> dict[str, Any]:
    """A slice's mask as it is sent: gap, length and label, from 1, of each run in row order."""
    numbers = own.numbers()[1 + 2 * len(own.shape) :].astype(np.int64).reshape(-1, 3)
    numbers[:, 2] += 1
    return {"shape": list(own.shape), "runs": numbers.reshape(-1).tolist()}


def of_runs(document: Any, shape: tuple[int, ...], labels: int) -> NDArray[np.int32]:
    """The codes `(rows, columns)` of a slice's mask as it is sent.

    Raises:
        Refused: 422, it is none, or of another shape.
    """
    wrong = refused(422, "no-mask", f"{SHAPE}: this slice has {shape[0]} rows and {shape[1]} columns")
    if not isinstance(document, dict) or set(document) != {"shape", "runs"} or not _whole(document["shape"], 2):
        raise wrong
    if tuple(document["shape"]) != shape:
        raise refused(
            422, "other-shape", f"the mask has another shape than the slice, of {shape[0]} rows and {shape[1]} columns"
        )
    runs = document["runs"]
    if not _whole(runs) or len(runs) % 3 or len(runs) > 3 * shape[0] * shape[1]:
        raise wrong
    if any(not 0 <= own <= shape[0] * shape[1] for own in runs):
        raise wrong
    gap, length, label = np.array(runs, dtype=np.int64).reshape(-1, 3).T
    ends = np.cumsum(gap + length)
    if (length < 1).any() or (label < 1).any() or (label > labels).any() or (ends > shape[0] * shape[1]).any():
        raise wrong
    return LabelMap(shape, (1.0,) * len(shape), ends - length, length, label - 1).codes


def _whole(own: Any, many: int | None = None) -> bool:
    """True of a list of whole numbers."""
    return isinstance(own, list) and len(own) == (many or len(own)) and all(type(one) is int for one in own)
