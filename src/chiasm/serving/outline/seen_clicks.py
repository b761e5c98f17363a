"""A click in a slice as it is seen, and how one is read of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.serving.faults import refused

CLICK = '{"plane", "slice", "row", "column", "inside", "label", "reach", "through", "by"}'
KEYS = {"plane", "slice", "row", "column", "inside", "label", "reach"}
MORE = {"through", "by"}
BRIGHTNESS, MODEL = "brightness", "model"
WHOLE = ("slice", "row", "column")


@dataclass(frozen=True)
class SeenClick:
    """A click in a slice as it is seen.

    Args:
        label: place of its label, from 1.
        reach: difference of brightness that joins a pixel to the one clicked, in the unit of the values; None: a
            tenth of the window that is shown at first.
        through: the region goes on through the slices above and below.
        by_model: the model is asked what belongs to it, and not how bright it is.
    """

    plane: str
    slice: int
    row: int
    column: int
    inside: bool
    label: int
    reach: float | None
    through: bool = False
    by_model: bool = False


def read_click(document: Any, labels: Sequence[str]) -> SeenClick:
    """Read a click.

    Raises:
        Refused: 422, it is none, or of a label that the model does not draw.
    """
    if not isinstance(document, dict) or not KEYS <= set(document) <= KEYS | MORE:
        raise refused(422, "no-click", f"a click is {CLICK}")
    whole = all(type(document[key]) is int for key in WHOLE) and isinstance(document["plane"], str)
    reach = document["reach"]
    said = reach is None or (type(reach) in (int, float) and 0 <= reach <= 1e9)
    through, by = document.get("through", False), document.get("by", BRIGHTNESS)
    if (
        not whole
        or type(through) is not bool
        or by not in (BRIGHTNESS, MODEL)
        or type(document["inside"]) is not bool
        or not said
    ):
        raise refused(422, "no-click", f"a click is {CLICK}: whole numbers, true or false, and a reach from 0 or null")
    if document["label"] not in labels:
        raise refused(422, "unknown-label", f"the model draws {', '.join(labels)}, and no other label", "label")
    place = {key: document[key] for key in ("plane", *WHOLE, "inside", "reach")}
    return SeenClick(**place, label=1 + list(labels).index(document["label"]), through=through, by_model=by == MODEL)
