"""`centre-shift`: frozen embeddings moved to a common centre, then one small network on all (arXiv 2406.02601)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.encoders import columns_among
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fusion.centre_shift import CentreShift
from chiasm.fusion.pooled import one_vector
from chiasm.heads.response import Response
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.tokens import Tokens

READ_AT_ONCE = 256  # patients


@storable("centre-shift-design")
@dataclass(frozen=True)
class CentreShiftDesign:
    """The fitted shift, the width of the layer that reads the shifted embeddings, and which modalities are columns."""

    shift: CentreShift
    latent_width: int
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> ShiftedEmbeddings:
        """Create a fresh fusion module of this size."""
        return ShiftedEmbeddings(shapes, self.shift, self.latent_width, dropout, self.columns)


class ShiftedEmbeddings(nn.Module):
    """Early fusion of shifted embeddings: `e = gelu(W [x_1; ...; x_M] + b)`, zeros for an absent modality.

    `x_m` is the mean token of m, or all of them side by side where they are columns, at unit length, moved by
    `CentreShift` and brought to unit length again. Narrower embeddings are filled with zeros up to the widest.
    """

    def __init__(
        self,
        shapes: Shapes,
        shift: CentreShift,
        latent_width: int,
        dropout: float = 0.0,
        columns: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.names, self.columns = sorted(shapes), frozenset(columns)
        self.width = widest(shapes, columns)
        centre = np.mean([shift.centres[name] for name in sorted(shift.centres)], axis=0)
        moves = [shift.strength * (shift.centres[name] - centre) for name in self.names]
        self.register_buffer("moves", torch.from_numpy(np.array(moves, np.float32)), persistent=False)  # (M, D)
        self.map = nn.Linear(len(self.names) * self.width, latent_width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Fuse the modalities present; `present` is `(B, M)` bool, modalities sorted by name."""
        moves, parts = self.get_buffer("moves"), []
        for m, name in enumerate(self.names):
            read = one_vector(tokens[name].where_present(present[:, m]), self.width, name in self.columns)
            own = nn.functional.normalize(read, dim=1)
            moved = nn.functional.normalize(own - moves[m], dim=1)
            parts.append(torch.where(present[:, [m]], moved, torch.zeros_like(moved)))
        return Fused(self.dropout(nn.functional.gelu(self.map(torch.cat(parts, 1)))))


def widest(shapes: Shapes, columns: Collection[str]) -> int:
    """Return the width of the widest vector of a modality."""
    return max(width * (slots if name in columns else 1) for name, (width, slots) in shapes.items())


@dataclass(frozen=True)
class CentreShiftRecipe(NetworkRecipe):
    """Embeddings of frozen encoders, the gap between the modalities closed, and one hidden layer on all of them.

    Args:
        modality: the one modality to read, which has no gap; empty: all.
        latent_width: width of the hidden layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        strength: share of the gap that is closed: 0 leaves the embeddings where they are, 1 makes all centres one.
    """

    strength: float = 1.0

    row: ClassVar[Row] = ROWS["centre-shift"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.strength <= 1.0:
            raise ValueError(f"strength={self.strength} is not known: it lies between 0 and 1")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the centres on the patients who are trained on, then train the network and calibrate it."""
        data = prepare(training)
        design = CentreShiftDesign(self.shift_of(data), self.latent_width, columns_among(data.encoders))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def shift_of(self, data: Prepared) -> CentreShift:
        """Fit the shift on the patients who are not held out; on all of a modality that has none of them."""
        columns = columns_among(data.encoders)
        width, embeddings = widest(data.shapes, columns), {}
        for m, name in enumerate(sorted(data.tokens)):
            here = data.present[:, m]
            rows = np.flatnonzero(here & ~data.held_out)
            rows = rows if len(rows) else np.flatnonzero(here)
            starts = range(0, len(rows), READ_AT_ONCE)
            parts = [data.tokens[name].take(rows[start : start + READ_AT_ONCE]) for start in starts]
            embeddings[name] = torch.cat([one_vector(part, width, name in columns) for part in parts]).double().numpy()
        return CentreShift.fit(embeddings, self.strength)
