"""What a model draws in an open image, and the map as a file that lies on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from chiasm.cohort import Cohort
from chiasm.errors import Unsupported
from chiasm.readers import ReadError
from chiasm.segmentation.clicked import Click, Clicked
from chiasm.segmentation.files import write_map
from chiasm.segmentation.seg_files import write_seg
from chiasm.serving.answers import each_ready
from chiasm.serving.faults import Refused, refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.outline.kept import on_disk
from chiasm.serving.outline.outlines import Outline
from chiasm.serving.outline.pictures import place_of
from chiasm.serving.outline.seen_clicks import SeenClick
from chiasm.serving.outline.sessions import Open
from chiasm.serving.patients import Patient, Upload
from chiasm.targets.label_maps import LabelMap, as_text, map_of, of_text

NIFTI, PNG, SEG = "nii.gz", "png", "dcm"
SERIES = "dicom"
MEDIA = {NIFTI: "application/gzip", PNG: "image/png", SEG: "application/dicom"}
"""Ways in which a map is saved, and how each is sent."""


def takes_clicks(loaded: Loaded) -> bool:
    """True of a model that can be asked by clicks."""
    return isinstance(loaded.model.predictor, Clicked)


def drawn(own: Open, scratch: Path, clicks: Sequence[SeenClick] = ()) -> LabelMap:
    """The label map that the model draws in the image, by itself or from clicks of one label upon what is drawn.

    Raises:
        Refused: 422, it cannot; what is wrong is said, and no value.
    """
    loaded = own.loaded
    labels, before = labels_of(loaded), map_on_image(own.outline, own) if clicks else None
    places = [_click(click, own, labels) for click in clicks]

    def maps(cohort: Cohort, _: Sequence[Patient]) -> list[dict[str, Any]]:
        predictor = loaded.model.predictor
        if places and isinstance(predictor, Clicked):
            return [{"map": as_text(predictor.outlined(cohort, places, labels, before), labels)}]
        return [{"map": text} for text in loaded.model.predict_ready(cohort)["mask"]]

    with on_disk(own.files, scratch) as sources:
        patient = Patient({name: Upload(name) for name in sources})
        (found,) = each_ready(maps, loaded, [patient], sources, scratch)
    if not isinstance(found, dict):
        raise Refused(422, found)
    drawn_map = of_text(found["map"], loaded.model.response.classes)
    if (1, *drawn_map.shape)[-3:] != own.outline.codes.shape:
        raise refused(422, "other-shape", "the model drew a map of another shape than the image: fit it again")
    return drawn_map


def _click(own: SeenClick, of: Open, labels: Sequence[str]) -> Click:
    """A click as models take it: where it lies in the image."""
    picture = of.pictures[of.first]
    place = place_of(picture.shape, own.plane, own.slice, own.row, own.column)
    return Click(tuple(map(float, place[1:] if picture.flat else place)), own.inside, labels[own.label - 1])


def forms_of(own: Open) -> list[str]:
    """Ways in which the map of an image can be saved, the usual one first."""
    picture = own.pictures[own.first]
    if picture.flat:
        return [PNG]
    if own.loaded.reads[own.first].kind != SERIES:
        return [NIFTI]
    return [SEG, NIFTI, *([PNG] if picture.shape[0] == 1 else [])]


def saved(own: Open, form: str, scratch: Path) -> bytes:
    """The file of the map, in one of `forms_of`.

    Raises:
        Refused: 422, the map is not saved so in this image.
    """
    if form not in forms_of(own):
        raise refused(422, "no-form", f"the map of this image is saved as {' or '.join(forms_of(own))}")
    with own.lock:
        whole = map_on_image(own.outline, own)
    with on_disk({own.first: own.files[own.first]}, scratch) as sources, TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder) / f"mask.{form}"
        try:
            if form == SEG:
                write_seg(path, whole, labels_of(own.loaded), sources[own.first], corrected=own.outline.by_hand)
            else:
                write_map(path, whole, codes_of(own.loaded), sources[own.first])
        except (Unsupported, ReadError) as error:
            raise refused(422, "not-saved", str(error)) from None
        return path.read_bytes()


def map_on_image(outline: Outline, own: Open) -> LabelMap:
    """The map as the image has its axes: of two of them for a picture."""
    picture = own.pictures[own.first]
    flat = outline.codes[0] if picture.flat else outline.codes
    return map_of(flat, picture.spacing[-flat.ndim :])


def codes_of(loaded: Loaded) -> list[int]:
    """The number of each label in a file."""
    return [int(code) for code in loaded.model.target.get("codes") or range(1, 1 + len(labels_of(loaded)))]


def labels_of(loaded: Loaded) -> list[str]:
    """Names of the labels that a model draws."""
    return list(loaded.model.response.classes)
