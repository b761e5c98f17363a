"""Public function that draws the label map of one patient's image, and writes it as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.api.models import load_model
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.segmentation.files import write_map
from chiasm.targets import kind_of
from chiasm.targets.label_maps import of_text
from chiasm.targets.mask import volumes_of

Images = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]


def segment(model: Any, images: Images, out: str | os.PathLike[str]) -> dict[str, float]:
    """Draw the label map of a patient's image by a fitted model, write it, and return the volume of each label.

    Args:
        model: a model of label maps, or the path of its folder.
        images: path of the image, or the folder of a DICOM series, where the model reads one modality; of several each
            by its name, of which any may be left out.
        out: .nii.gz for a volume, whose axes and affine it takes over; for a DICOM series .dcm, a DICOM SEG that
            stands beside it, or .nii.gz; .png for a picture.

    Raises:
        Unsupported: the model draws no label maps, an image is not named or cannot be read, or `out` does not suit it.
    """
    fitted = model if isinstance(model, FittedModel) else load_model(model)
    if not isinstance(fitted, FittedModel) or not kind_of(fitted.response.kind).has_masks:
        raise Unsupported("the model draws no label maps: fit one of a target of them, as with the recipe unet")
    given = images if isinstance(images, Mapping) else {_only(fitted): images}
    if strange := [name for name in given if name not in fitted.modalities]:
        raise Unsupported(
            f"the model reads no modality '{strange[0]}': it reads {', '.join(sorted(fitted.modalities))}"
        )
    paths = {name: Path(path) for name, path in given.items()}
    if missing := [name for name, path in paths.items() if not path.exists()]:
        raise FileNotFoundError(2, "there is no such image", str(paths[missing[0]]))
    said = fitted.predict(paths).iloc[0]
    if not said["pattern"]:
        raise Unsupported("no image could be read, so that there is none to draw in: look at the file")
    labels = fitted.response.classes
    codes = fitted.target.get("codes") or range(1, len(labels) + 1)
    first = next(paths[name] for name in sorted(paths) if name in str(said["pattern"]).split("+"))
    write_map(Path(out), of_text(said["mask"], labels), list(codes), first, labels)
    return {name: float(said[column]) for name, column in zip(labels, volumes_of(labels), strict=True)}


def _only(model: FittedModel) -> str:
    """The one modality that a model reads."""
    names = sorted(model.modalities)
    if len(names) != 1:
        raise Unsupported(f"the model reads {', '.join(names)}: say which the image is, as {names[0]}=scan.nii.gz")
    return names[0]
