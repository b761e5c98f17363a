"""Public function that draws the label map of one patient's image from clicks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.api.models import load_model
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.segmentation.clicked import Click, outlined, parsed_click
from chiasm.targets import kind_of
from chiasm.targets.label_maps import LabelMap

Images = str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]]


def outline(model: Any, images: Images, clicks: Sequence[Click | str] = (), before: LabelMap | None = None) -> LabelMap:
    """Draw the label map of a patient's image by a fitted model, from clicks, and return it.

    Args:
        model: a model of label maps, or the path of its folder.
        images: path of the image, where the model reads one modality; of several each by its name, of which any may be
            left out.
        clicks: all so far, the earlier ones too: places in pixels of the image, with their label; written as `"y,x,+"`,
            `"z,y,x,-"` or `"y,x,+,label"` too. Without any the model draws by itself.
        before: what was drawn before, and may have been corrected by hand; a label without a click stays as it is.

    Raises:
        Unsupported: the model draws no label maps or takes no clicks, an image is not named or cannot be read, or a
            click lies outside of it or is of no label.
        ValueError: a click is written otherwise.
    """
    fitted = map_model(model)
    told = [own if isinstance(own, Click) else parsed_click(own, fitted.response.classes) for own in clicks]
    return outlined(fitted, paths_of(fitted, images), told, before)


def map_model(model: Any) -> FittedModel:
    """Return a fitted model of label maps, opened where its folder is named.

    Raises:
        Unsupported: it draws none.
    """
    fitted = model if isinstance(model, FittedModel) else load_model(model)
    if not isinstance(fitted, FittedModel) or not kind_of(fitted.response.kind).has_masks:
        raise Unsupported("the model draws no label maps: fit one of a target of them, as with the recipe unet")
    return fitted


def paths_of(model: FittedModel, images: Images) -> dict[str, Path]:
    """Return the files of one patient by modality.

    Raises:
        Unsupported: a modality is none of the model's, or which one the image is was not said.
        FileNotFoundError: a file is not there.
    """
    given = images if isinstance(images, Mapping) else {_only(model): images}
    if strange := [name for name in given if name not in model.modalities]:
        raise Unsupported(f"the model reads no modality '{strange[0]}': it reads {', '.join(sorted(model.modalities))}")
    paths = {name: Path(path) for name, path in given.items()}
    if missing := [name for name, path in paths.items() if not path.exists()]:
        raise FileNotFoundError(2, "there is no such image", str(paths[missing[0]]))
    return paths


def _only(model: FittedModel) -> str:
    """The one modality that a model reads."""
    names = sorted(model.modalities)
    if len(names) != 1:
        raise Unsupported(f"the model reads {', '.join(names)}: say which the image is, as {names[0]}=scan.nii.gz")
    return names[0]
