"""Public function that draws the label map of one patient's image, and writes it as a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.api.outlining import Images, map_model, outline, paths_of
from chiasm.api.regridding import on_grid_of
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.segmentation.clicked import Click
from chiasm.segmentation.files import SEG, write_map
from chiasm.segmentation.seg_files import import_highdicom, read_series
from chiasm.targets.label_maps import of_text
from chiasm.targets.mask import volumes_of


def segment(
    model: Any,
    images: Images,
    out: str | os.PathLike[str],
    clicks: Sequence[Click | str] = (),
    *,
    grid: str = "",
) -> dict[str, float]:
    """Draw the label map of a patient's image by a fitted model, write it, and return the volume of each label.

    Args:
        model: a model of label maps, or the path of its folder.
        images: path of the image, or the folder of a DICOM series, where the model reads one modality; of several each
            by its name, of which any may be left out.
        out: .nii.gz for a volume, whose axes and affine it takes over; for a DICOM series .dcm, a DICOM SEG that
            stands beside it, or .nii.gz; .png for a picture.
        clicks: as in `outline`, for a model that takes them.
        grid: the modality on whose grid the other images are resampled first, by where they lie in the patient; the
            map lies on it. Empty: images that do not lie on one grid are refused.

    Raises:
        Unsupported: the model draws no label maps, an image is not named or cannot be read, or `out` does not suit it.
    """
    fitted = map_model(model)
    paths = paths_of(fitted, images)
    if grid:
        with on_grid_of(paths, fitted.kinds, grid) as moved:
            return _segmented(fitted, moved, Path(out), clicks, paths[grid])
    return _segmented(fitted, paths, Path(out), clicks)


def _segmented(
    fitted: FittedModel, paths: Mapping[str, Path], out: Path, clicks: Sequence[Click | str], beside: Path | None = None
) -> dict[str, float]:
    """Draw in a patient's images, and write the map beside one of them: the one named, else the first that was read."""
    labels = fitted.response.classes
    codes = fitted.target.get("codes") or range(1, len(labels) + 1)
    if out.suffix.lower() == SEG:  # refused before anything is drawn
        import_highdicom()
        read_series(beside or paths[min(paths)])
    if clicks:
        own = outline(fitted, paths, clicks)
        write_map(out, own, list(codes), beside or paths[min(paths)], labels)
        return {name: float(volume) for name, volume in zip(labels, own.volumes(len(labels)), strict=True)}
    said = fitted.predict(paths).iloc[0]
    if not said["pattern"]:
        raise Unsupported("no image could be read, so that there is none to draw in: look at the file")
    first = beside or next(paths[name] for name in sorted(paths) if name in str(said["pattern"]).split("+"))
    write_map(out, of_text(said["mask"], labels), list(codes), first, labels)
    return {name: float(said[column]) for name, column in zip(labels, volumes_of(labels), strict=True)}
