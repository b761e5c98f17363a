"""The cohorts of `images.py` as rasters, labels and groups: read once, resized, kept beside the unfinished runs."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import chiasm
from chiasm.encoders.raster.reading import RasterReading

SIDE = 32  # of a blood cell's crop
CELLS = ("RBC", "WBC", "Platelets")
READINGS = {
    "chest-xray": ("image", RasterReading("image", 1, 28)),
    "adrenal-ct": ("image", RasterReading("volume", 1, 32)),
    "ptbxl-ecg": ("ecg", RasterReading("ecg", 12, 1000)),
}
LAST_FOLDS = ("7", "8")  # of ptbxl-ecg, that are tested


@dataclass(frozen=True)
class ImageSet:
    """Rasters `(n, C, *space)`, labels `(n, L)` of 0 and 1, groups (images, people, smears), and who is tested."""

    name: str
    rasters: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    tested: NDArray[np.bool_]

    @property
    def axes(self) -> int:
        """Axes of space."""
        return self.rasters.ndim - 2


def image_set(name: str, data: Path, work: Path) -> ImageSet:
    """Return a cohort, from where it is kept if it was read before."""
    kept = work / f"{name}.npz"
    if not kept.exists():
        found = blood_cells(data / "wings" / name) if name == "blood-cells-bccd" else cohort(name, data / name)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(kept, rasters=found.rasters, labels=found.labels, groups=found.groups, tested=found.tested)
    with np.load(kept) as own:
        return ImageSet(name, own["rasters"], own["labels"], own["groups"], own["tested"])


def cohort(name: str, folder: Path) -> ImageSet:
    """Read a cohort of chiasm's, with its given split; of the folds of ptbxl-ecg the last two are tested."""
    modality, reading = READINGS[name]
    opened = chiasm.open_cohort(folder / "cohort.toml")
    items, outcome = opened.raw(modality), opened.outcome
    from chiasm.readers import reader_for

    reader = reader_for(opened.kinds[modality])
    rasters = np.stack([reading.raster(reader.read(items[k])) for k in range(len(items))])
    value = np.asarray(outcome.value)
    labels = (value[:, None] if value.ndim == 1 else value).astype(np.int64)
    folds = dict(line.split(",") for line in (folder / "folds.csv").read_text(encoding="utf-8").split("\n")[1:] if line)
    own = np.array([folds[name] for name in opened.ids])
    tested = np.isin(own, LAST_FOLDS) if name == "ptbxl-ecg" else own != "train"
    groups = opened.ids if opened.group is None else opened.group
    return ImageSet(name, rasters, labels, np.asarray(groups, dtype=str), tested)


def blood_cells(folder: Path) -> ImageSet:
    """Cut the boxes of blood cells out of their smears, `SIDE` pixels wide; the given test smears are tested."""
    from PIL import Image

    rasters, labels, groups, tested = list[np.ndarray](), list[list[int]](), list[str](), list[bool]()
    test = set((folder / "ImageSets" / "Main" / "test.txt").read_text(encoding="utf-8").split())
    for file in sorted((folder / "Annotations").glob("*.xml")):
        with Image.open(folder / "JPEGImages" / f"{file.stem}.jpg") as opened:
            smear = opened.convert("RGB")
        for box in ElementTree.parse(file).getroot().iter("object"):
            ends = [int(box.findtext(f"bndbox/{name}", "0")) for name in ("xmin", "ymin", "xmax", "ymax")]
            if ends[2] - ends[0] < 4 or ends[3] - ends[1] < 4:
                continue
            crop = smear.crop(tuple(ends)).resize((SIDE, SIDE))  # type: ignore[arg-type]
            rasters.append(np.asarray(crop, np.float32).transpose(2, 0, 1))
            labels.append([int(box.findtext("name") == cell) for cell in CELLS])
            groups.append(file.stem)
            tested.append(file.stem in test)
    return ImageSet("blood-cells-bccd", np.stack(rasters), np.array(labels), np.array(groups), np.array(tested))
