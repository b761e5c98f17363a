"""A fitted network that draws label maps: how its images are read, its weights, and what is said without an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.isolation import threads_for
from chiasm.encoders.seen import SeenItems
from chiasm.fitting.neural import build, restore
from chiasm.segmentation.drawing import FLIPS, Drawing
from chiasm.segmentation.grids import Imaged, ImageGrids, of_row, on_shelves
from chiasm.segmentation.tidying import WAYS, tidied
from chiasm.targets.label_maps import map_of, of_numbers
from chiasm.tokens import Packed
from chiasm.training.batches import presence, take
from chiasm.training.network import in_evaluation


class OutlinerDesign(Protocol):
    """Storable sizes of a network that draws label maps, a `MapNetwork`, from which it is built again."""

    def network(self, channels: dict[str, int], axes: int, labels: int) -> nn.Module: ...


@storable("outliner")
@dataclass(frozen=True)
class Outliner:
    """Predictor of label maps in images: a link of the volume of each label, and behind them the map as numbers.

    Args:
        grids: contrast to how its images are read.
        design: builds the network that `state` fills.
        labels: K.
        window: sides of the windows that the network reads.
        state: parameters and buffers of the network.
        without: `(K + M,)` link of a patient without an image: what training images have on average.
        epochs: after so many it was kept.
        spacing: millimetres along each axis of what is drawn, as training maps have it; empty: those of each image.
        mirrors: how windows are turned over too, and the mean of their logits taken: none, sideways, or all.
        tidy: what is done to each label afterwards, as `tidying.WAYS`; empty: nothing.
        seen: marks of the images that its weights were learned from, where they may serve another training.
    """

    grids: dict[str, ImageGrids]
    design: Any
    labels: int
    window: tuple[int, ...]
    state: dict[str, np.ndarray]
    without: np.ndarray
    trained_parameters: int
    epochs: int = 0
    spacing: tuple[float, ...] = ()
    mirrors: str = "none"
    tidy: tuple[str, ...] = ()
    seen: tuple[SeenItems, ...] = ()

    def __post_init__(self) -> None:
        if not self.grids or len(self.window) not in (2, 3) or not all(1 <= side <= 4096 for side in self.window):
            raise ValueError("a network of label maps reads windows of two or three sides, of one contrast or more")
        if self.mirrors not in FLIPS:
            raise ValueError("windows are mirrored in no axis, sideways, or in all")
        if self.tidy and (len(self.tidy) != self.labels or not set(self.tidy) <= set(WAYS)):
            raise ValueError("what is done to a drawn label is nothing, largest, filled, or both, of each label")
        if self.spacing and (len(self.spacing) != len(self.window) or not all(0 < s < np.inf for s in self.spacing)):
            raise ValueError("the spacing of what is drawn is a length above zero along each axis")
        behind = self.without[self.labels :] if self.without.ndim == 1 else np.zeros(0)
        if not behind.size or not np.isfinite(self.without).all() or len(of_numbers(behind).shape) != len(self.window):
            raise ValueError("what is said without an image is the volume of each label, and a map behind them")

    def drawing(self, read: Mapping[str, Imaged] | None = None) -> Drawing:
        """Rebuild the trained network.

        Args:
            read: contrast to what reads its images, scaled as `grids` says; None: `grids`.
        """
        return Drawing(self.network(), read or self.grids, self.labels, self.window, self.mirrors)

    def network(self) -> nn.Module:
        """Rebuild the trained network itself."""
        design = cast(OutlinerDesign, self.design)
        channels = {name: own.channels for name, own in self.grids.items()}
        network = build(lambda: design.network(channels, len(self.window), self.labels), 0)
        restore(network, self.state)
        return network

    def beside(self, cohort: Cohort) -> dict[str, Packed]:
        """Return the tokens that are read beside the images, by modality; here none."""
        return {}

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the volume of each label and the map behind them, `(B, K + M)`, NaN where one is shorter."""
        names = sorted(self.grids)
        shelves, images = on_shelves(cohort, {name: self.grids[name] for name in names})
        tokens = {**images, **self.beside(cohort)}
        present, drawing = presence(tokens, names), self.drawing(shelves)
        rows: list[np.ndarray] = []
        work = 54.0 * self.trained_parameters * float(np.prod(self.window))
        with in_evaluation(drawing), torch.inference_mode(), threads_for(work):
            for row in range(len(cohort)):
                if not present[row].any():
                    rows.append(self.without)
                    continue
                here = torch.from_numpy(present[[row]])
                with of_row(int(cohort.file_rows[row])):
                    codes, spacing = drawing.codes(take(tokens, np.array([row])), here, 0)
                own = map_of(tidied(codes, self.tidy), self.spacing or spacing)
                rows.append(np.concatenate([own.volumes(self.labels), own.numbers()]))
        out = np.full((len(cohort), max([self.without.size, *map(len, rows)])), np.nan)
        for row, own_row in enumerate(rows):
            out[row, : len(own_row)] = own_row
        return out
