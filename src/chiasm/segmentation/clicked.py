"""Clicks into an image: what one is, how it is read and refused, and the label map that a model gives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.handed import handed
from chiasm.encoding.preparing import encode_for
from chiasm.fitting.model import FittedModel
from chiasm.targets.label_maps import LabelMap, of_text

SIGNS = {"+": True, "-": False}
Pixels = tuple[int, ...]


@dataclass(frozen=True)
class Click:
    """A place in an image that belongs to a label, or does not.

    Args:
        place: in pixels or voxels, (y, x) or (z, y, x); (0, 0) is the middle of the first. A volume is counted as it is
            read: slices from the feet, rows from the front, columns from the patient's right, whatever its file does.
        inside: True where the label is there; False where it is not.
        label: its name.
    """

    place: tuple[float, ...]
    inside: bool
    label: str

    @property
    def pixel(self) -> Pixels:
        """The pixel or voxel that is hit."""
        return tuple(math.floor(own + 0.5) for own in self.place)


@runtime_checkable
class Clicked(Protocol):
    """A predictor of label maps that answers clicks."""

    def outlined(
        self, cohort: Cohort, clicks: Sequence[Click], labels: Sequence[str], before: LabelMap | None
    ) -> LabelMap:
        """Draw the label map of the one patient of an encoded cohort.

        Args:
            clicks: all so far, of labels of the model; a place outside of the image is refused.
            labels: names of the model's labels.
            before: what was drawn before, and may have been corrected by hand; None: nothing. A label without a click
                stays as it is there.
        """
        ...


def outlined(
    model: FittedModel, images: Mapping[str, Path], clicks: Sequence[Click] = (), before: LabelMap | None = None
) -> LabelMap:
    """Draw the label map of one patient's image by a fitted model, from clicks where it takes them.

    Args:
        images: modality to file; of several any may be left out.
        clicks: all so far, the earlier ones too; empty: what the model draws by itself, as `predict` does.
        before: what was drawn before; a label without a click stays as it is there.

    Raises:
        Unsupported: the model takes no clicks, no image can be read, a click lies outside of it, or `before` is of
            another shape.
    """
    labels = model.response.classes
    if not clicks:
        if before is not None:
            return before
        said = model.predict(dict(images)).iloc[0]
        if not said["pattern"]:
            raise Unsupported("no image could be read, so that there is none to draw in: look at the file")
        return of_text(said["mask"], labels)
    if not isinstance(model.predictor, Clicked):
        raise Unsupported(
            f"the model '{model.recipe.partition(':')[0]}' draws by itself and takes no clicks: leave them out, or fit "
            "a model that does, as with the recipe sam-med2d"
        )
    require_labels(clicks, labels)
    cohort = encode_for(model, handed(dict(images), model.kinds, {})).cohort
    if not cohort.present.any():
        raise Unsupported("no image could be read, so that there is none to draw in: look at the file")
    return model.predictor.outlined(cohort, clicks, labels, before)


def parsed_click(text: str, labels: Sequence[str]) -> Click:
    """Read a click as it is written on the command line, `y,x,+` or `z,y,x,-,label`.

    Args:
        labels: of the model; where there is one it need not be named.

    Raises:
        ValueError: it is written otherwise, or its label is none of these.
    """
    parts = [own.strip() for own in text.split(",")]
    at = next((k for k, own in enumerate(parts) if own in SIGNS), -1)
    try:
        place = tuple(float(own) for own in parts[:at])
    except ValueError:
        place = ()
    if at < 0 or len(place) not in (2, 3) or len(parts) > at + 2 or not all(map(math.isfinite, place)):
        raise ValueError(
            f"the click '{text}' is none: write y,x,+ in a picture or z,y,x,+ in a volume, - where the label is not"
        )
    named = parts[at + 1] if len(parts) > at + 1 else labels[0] if len(labels) == 1 else ""
    click = Click(place, SIGNS[parts[at]], named)
    require_labels([click], labels)
    return click


def require_labels(clicks: Sequence[Click], labels: Sequence[str]) -> None:
    """Raise `Unsupported` unless every click is of one of these labels."""
    for number, own in enumerate(clicks, 1):
        if own.label not in labels:
            said = f"of '{own.label}', which is no label" if own.label else "of no label"
            raise Unsupported(f"click {number} is {said}: name one of {', '.join(labels)}")


def require_places(clicks: Sequence[Click], shape: Sequence[int], before: LabelMap | None = None) -> None:
    """Raise `Unsupported` unless every click lies in an image of this shape, and the map before has it too."""
    sides = " x ".join(f"{side:,}" for side in shape)
    for number, own in enumerate(clicks, 1):
        if len(own.place) != len(shape):
            raise Unsupported(f"click {number} has {len(own.place)} coordinates, and the image is {sides}: name each")
        if not all(0 <= at < side for at, side in zip(own.pixel, shape, strict=True)):
            raise Unsupported(
                f"click {number} lies outside of the image, which is {sides}: count its pixels from 0, rows before "
                "columns"
            )
    if before is not None and before.shape != tuple(shape):
        drawn = " x ".join(f"{side:,}" for side in before.shape)
        raise Unsupported(f"the label map before is {drawn}, and the image {sides}: draw on in the same image")
