"""A mask: the label of each pixel or voxel of a patient's image; of every label also how much there is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells
from chiasm.targets.label_maps import LabelMap, LabelMaps, as_text, map_of, of_numbers, of_text, usual_map
from chiasm.targets.mask_cells import read_maps
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Floats, Ints, Target, by_rank

ANSWER = "mask"
VOLUME = "volume_"
HIGHEST_CODE = 65_535
NOTHING_DRAWN = ""


@dataclass(frozen=True)
class Mask(Target):
    """Target of label maps: `Mask("file", ("kidney", "tumour"))`, a column of paths, one label map an image.

    A model predicts `mask`, the label map as runs in JSON, and `volume_...` of each label. One that learns numbers
    alone says how much there is, and draws none.

    Args:
        column: column of paths of .nii, .nii.gz, .dcm or .png files, relative to the manifest; a cell may hold the map
            itself, the JSON of a prediction or, in Python, an array of codes.
        labels: names of what is drawn.
        codes: number of each label in the files, from 1; empty: 1, 2, ... in the order of `labels`.
        spacing: millimetres a pixel along rows and columns, for .png files, which do not say it; empty: not known.
        tolerance: millimetres by which a surface may be off and counts as met; pixels where spacing is not known.
    """

    column: str
    labels: tuple[str, ...]
    codes: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    tolerance: float = 1.0
    kind: ClassVar[str] = "mask"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "column": (str | None, None),
        "labels": (list[str], []),
        "codes": (list[int], []),
        "spacing": (list[float], []),
        "tolerance": (float, 1.0),
    }
    has_channels: ClassVar[bool] = True
    has_masks: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = True
    has_level: ClassVar[bool] = False
    is_scaled: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} patients of a known label map"

    def __post_init__(self) -> None:
        labels = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "codes", tuple(int(own) for own in self.codes))
        object.__setattr__(self, "spacing", tuple(float(own) for own in self.spacing))
        wrong = faults_of(self.labels, self.codes, self.spacing, self.tolerance)
        if not self.column or wrong:
            raise ValueError(wrong[0][0] if wrong else "a target of label maps needs the column of their files")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def mask_files(self) -> tuple[str, tuple[float, ...]] | None:
        return self.column, self.spacing

    @property
    def names(self) -> tuple[str, ...]:
        return self.labels

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        labels, codes, spacing = (tuple(keys[name]) for name in ("labels", "codes", "spacing"))
        return cls(keys["column"], labels, codes, spacing, keys["tolerance"])

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

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True: paths are words."""
        return True

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """Refuse label maps of which none has a label, and warn of labels that nobody has."""
        total = outcome.value[outcome.known].sum(axis=0)
        if not total.any():
            what, fix = "no label map has a label", "there is nothing to find: name another column"
            return [error(what, fix, path=path, finding="single-class")]
        without = [name for name, many in zip(self.labels, total, strict=True) if not many]
        if not without:
            return []
        what = f"{count(len(without), 'label')} in no label map: {', '.join(without)}"
        fix = "left out of every mean over labels; or correct its name or its code"
        return [warning(what, fix, path=path, finding="constant-channel")]

    # Splitting

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """Fifths of how much is labelled."""
        return by_rank(self.fold_labels(outcome), replace(outcome, value=outcome.value.sum(axis=1)), 5, least)

    # Learning

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of patients of a known label map."""
        return int(outcome.known.sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return bool(np.nansum(outcome.value) > 0)

    # Predicting

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [ANSWER, *volumes_of(names)]

    @classmethod
    def number_columns(cls, names: Sequence[str]) -> list[str]:
        return volumes_of(names)

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        known = outcome.value.shape[1]
        return f"{len(names):,} names for label maps of {known:,} labels: name each" if len(names) != known else ""

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """How much there is of each label, `(n, K)`; of all labels of the frame where none is named."""
        own = volumes_of(names) if names else [name for name in frame if str(name).startswith(VOLUME)]
        return np.asarray(frame[own].to_numpy(np.float64), dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """How much there is, and nothing drawn."""
        made = pd.DataFrame(links, columns=[name for name in columns if name != ANSWER])
        made.insert(0, ANSWER, np.full(len(made), NOTHING_DRAWN, dtype=object))
        return made

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """The mean volume of each label."""
        return dict(zip(volumes_of(names), known.value.mean(axis=0).tolist(), strict=True))

    @classmethod
    def prior_frame(cls, train: Outcome, n: int, names: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
        """What training label maps have on average, for each of n patients; see `label_maps.usual_map`."""
        known = train.take(np.flatnonzero(train.known))
        maps = maps_of(known)
        made = pd.DataFrame(np.tile(known.value.mean(axis=0), (n, 1)), columns=volumes_of(names))
        made.insert(0, ANSWER, np.full(n, as_text(usual_map(maps), maps.labels), dtype=object))
        return made

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """The mean volume of each label."""
        return np.asarray(outcome.value.mean(axis=0), dtype=np.float64)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        cls.require_columns(frame, names, require)
        try:
            for text in frame[ANSWER].tolist():
                _ = of_text(text, names) if text else None
        except ValueError as fault:
            require(False, "the label map of a prediction can be read", str(fault))

    @classmethod
    def in_one_number(cls, outcome: Outcome) -> Floats:
        """(B,) how much is labelled, by whatever label."""
        return np.asarray(outcome.value.sum(axis=1))

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
    return [f"{VOLUME}{name}" for name in names]


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
