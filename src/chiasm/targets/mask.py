"""A mask: the label of each pixel or voxel of a patient's image; of every label also how much there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, error
from chiasm.targets.cells import Cells
from chiasm.targets.drawn import DrawnTarget
from chiasm.targets.label_maps import LabelMap, LabelMaps, as_text, map_of, of_numbers, of_text, usual_map
from chiasm.targets.mask_cells import read_maps
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Floats, Target

ANSWER = "mask"
VOLUME = "volume_"
HIGHEST_CODE = 65_535
NOTHING_DRAWN = ""


@dataclass(frozen=True)
class Mask(DrawnTarget):
    """Target of label maps: `Mask("file", ("kidney", "tumour"))`, a column of paths, one label map an image.

    A model predicts `mask`, the label map as runs in JSON, and `volume_...` of each label. One that learns numbers
    alone says how much there is, and draws none.

    Args:
        column: column of paths of .nii, .nii.gz, .dcm (SEG, RTSTRUCT) or .png files, relative to the manifest; a cell
            may hold the map itself, the JSON of a prediction or, in Python, an array of codes.
        labels: names of what is drawn.
        codes: number of each label in the files, from 1; empty: 1, 2, ... in the order of `labels`.
        spacing: millimetres a pixel along rows and columns, for .png files, which do not say it; empty: not known.
        tolerance: millimetres by which a surface may be off and counts as met; pixels where spacing is not known.
        series: column of the folders of the DICOM series on which each label map lies, for contours of an RTSTRUCT and
            for segmentations of fewer slices; empty: none is named.
    """

    codes: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    tolerance: float = 1.0
    series: str = ""
    kind: ClassVar[str] = "mask"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "labels": (list[str], []),
        "codes": (list[int], []),
        "spacing": (list[float], []),
        "tolerance": (float, 1.0),
        "series": (str, ""),
    }
    has_masks: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} patients of a known label map"
    answer: ClassVar[str] = ANSWER
    amount: ClassVar[str] = VOLUME
    nothing: ClassVar[str] = NOTHING_DRAWN
    what: ClassVar[str] = "label maps"
    in_none: ClassVar[str] = "no label map has a label"
    absent: ClassVar[str] = "in no label map"
    fix: ClassVar[str] = "left out of every mean over labels; or correct its name or its code"

    def __post_init__(self) -> None:
        labels = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "codes", tuple(int(own) for own in self.codes))
        object.__setattr__(self, "spacing", tuple(float(own) for own in self.spacing))
        wrong = faults_of(self.labels, self.codes, self.spacing, self.tolerance)
        if not self.column or wrong:
            raise ValueError(wrong[0][0] if wrong else "a target of label maps needs the column of their files")

    @property
    def mask_files(self) -> tuple[str, tuple[float, ...]] | None:
        return self.column, self.spacing

    @property
    def mask_series(self) -> str:
        return self.series

    @property
    def mask_codes(self) -> dict[str, int]:
        return dict(zip(self.labels, self.codes or range(1, len(self.labels) + 1), strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, self.series) if self.series else (self.column,)

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        labels, codes, spacing = (tuple(keys[name]) for name in ("labels", "codes", "spacing"))
        return cls(keys["column"], labels, codes, spacing, keys["tolerance"], keys["series"])

    @classmethod
    def refused(cls, keys: Mapping[str, Any], path: str) -> list[Problem]:
        labels, codes, spacing = (tuple(keys.get(name) or ()) for name in ("labels", "codes", "spacing"))
        wrong = faults_of(labels, codes, spacing, keys.get("tolerance", 1.0))
        missing = super().refused(keys, path)
        return [*missing, *(error(what, fix, path=path, finding="manifest-value") for what, fix in wrong)]

    # Reading

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        codes = self.codes or tuple(range(1, len(self.labels) + 1))
        maps, value, known = read_maps(cells, self.column, self.labels, codes, self.tolerance)
        return self, Outcome(value, None, known, maps=maps)

    # Predicting

    @classmethod
    def usual(cls, known: Outcome) -> str:
        """What label maps have on average; see `label_maps.usual_map`."""
        maps = maps_of(known)
        return as_text(usual_map(maps), maps.labels)

    @classmethod
    def require_readable(cls, text: str, names: Sequence[str]) -> None:
        if text:
            of_text(text, names)

    # Writing

    def described(self, outcome: Outcome) -> dict[str, Any]:
        value = outcome.value[outcome.known]
        return {
            "classes": list(self.labels),
            "counts": [int(own) for own in (value > 0).sum(axis=0)],
            "without_labels": int((value.sum(axis=1) == 0).sum()),
            "tolerance": self.tolerance,
        }

    def stored(self) -> dict[str, Any]:
        held = {"codes": list(self.codes), "spacing": list(self.spacing)}
        kept = {name: own for name, own in held.items() if own}
        return {"kind": self.kind, "column": self.column, "labels": list(self.labels), **kept}

    # Examples

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw `a` as max(1, round(5 + 2 s + N(0, 1))) rows of an image of 16, below them 4 columns of `b` beside."""
        rows = np.clip(np.round(5 + 2 * signal + rng.normal(size=len(signal))), 1, 12).astype(int)
        cells = []
        for many in rows.tolist():
            codes = np.zeros((16, 16), dtype=np.int64)
            codes[:many, 2:12] = 1
            codes[many : 14 - many // 2, 4:8] = 2
            cells.append(as_text(map_of(codes), ("a", "b")))
        return pd.DataFrame({"found": cells}, dtype=object), cls("found", ("a", "b")), rows + 0.01 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        """Write the label maps as JSON; a cell is empty where none is known."""
        return pd.DataFrame({"drawn": [own or None for own in maps_of(outcome).texts]}, index=ids), replace(
            self, column="drawn"
        )


def volumes_of(names: Sequence[str]) -> list[str]:
    """Columns of a prediction that say how much there is of each label."""
    return Mask.number_columns(names)


def faults_of(
    labels: Sequence[str], codes: Sequence[int], spacing: Sequence[float], tolerance: float
) -> list[tuple[str, str]]:
    """What is wrong with the keys of a target, each with what to do."""
    found = []
    if not labels or len(set(labels)) < len(labels) or not all(own.strip() for own in labels):
        found.append(("[target] names no labels, or one twice", 'list each once, as labels = ["kidney", "tumour"]'))
    whole = all(isinstance(own, int) and 1 <= own <= HIGHEST_CODE for own in codes)
    if codes and (len(codes) != len(labels) or len(set(codes)) < len(codes) or not whole):
        found.append(("'codes' of [target] are no number for each label", "write one each from 1, as codes = [1, 4]"))
    if spacing and (len(spacing) != 2 or not all(np.isfinite(own) and own > 0 for own in spacing)):
        found.append(
            ("'spacing' of [target] is none of rows and columns", "write millimetres, as spacing = [0.5, 0.5]")
        )
    if not (np.isfinite(tolerance) and tolerance >= 0):
        found.append(("'tolerance' of [target] is no distance", "write millimetres, as tolerance = 2.0"))
    return found


def maps_of(outcome: Outcome) -> LabelMaps:
    """The label maps of an outcome.

    Raises:
        ValueError: it has none.
    """
    if outcome.maps is None:
        raise ValueError("the outcome has no label maps: what is drawn is held against those of the truth")
    return outcome.maps


def drawn_of(link: Floats, labels: int) -> list[LabelMap | None]:
    """Label maps `(n,)` of a link `(n, K + M)`, behind the volumes, as `LabelMap.numbers`; None where there is none."""
    return [of_numbers(own) if np.isfinite(own[:1]).any() else None for own in link[:, labels:]]
