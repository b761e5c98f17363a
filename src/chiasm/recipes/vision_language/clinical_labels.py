"""`clinical-labels`: patients whose clinical values fall into one bin are positive; no image is labelled (OLIVES)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.table.table import TableEncoder
from chiasm.fitting.base import Training, require_pairs
from chiasm.fitting.neural import Prepared, check_size, new_network, prepare
from chiasm.fitting.row import Row
from chiasm.fitting.space import SENTENCES
from chiasm.heads.response import Response
from chiasm.objectives.contrastive import contrast, same_class
from chiasm.objectives.label_texts import binned
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.alignment.aligned import AlignedRecipe
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.design import WordedDesign, grids_of
from chiasm.training import Phase
from chiasm.training.examples import Batch
from chiasm.training.taught import Taught


@dataclass(frozen=True)
class Column:
    """Where a number of the clinical table stands among its tokens: `value` and `missing` are (slot, place) or None."""

    value: tuple[int, int]
    missing: tuple[int, int] | None

    def read(self, tokens: Tensor) -> Tensor:
        """Return the scaled values `(B,)`, NaN where the column is not known."""
        own = tokens[:, self.value[0], self.value[1]]
        if self.missing is None:
            return own
        return torch.where(tokens[:, self.missing[0], self.missing[1]] > 0, torch.nan, own)


@dataclass(frozen=True)
class ClinicalLabels(AlignedRecipe):
    """Supervised contrast of every other modality over bins of the numbers of a clinical table, then the target.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads: transformer layers of a modality, 0 for none, and heads of each.
        clinical: the table; empty: the only one.
        columns: its columns of numbers that are read, joined by +; empty: all.
        bins: of each column, by quantiles of training patients.
    """

    depth: int = 1
    heads: int = 4
    clinical: str = ""
    columns: str = ""
    bins: int = 3

    row: ClassVar[Row] = ROWS["clinical-labels"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depth:
            check_size("depth", self.depth, 64)
        if not 2 <= self.bins <= 100:
            raise ValueError(f"bins={self.bins} is not known: it lies between 2 and 100")
        _ = self.design()  # refuses invalid sizes

    def design(self) -> WordedDesign:
        """Return the sizes of the network, of which nothing is a word."""
        return WordedDesign(self.latent_width, self.temperature, self.depth, self.heads)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, in which patches of a grid share a map, train and calibrate it."""
        data = prepare(training)
        design = replace(self.design(), grids=grids_of(data.cohort, data.shapes))
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def table(self, cohort: Cohort) -> str:
        """Return the clinical table.

        Raises:
            Unsupported: there is none, or several and none is named, or none of its columns that are named is a number.
        """
        tables = [name for name in cohort.modalities if cohort.kinds[name] == "table"]
        if self.clinical not in tables and (self.clinical or len(tables) != 1):
            what = f"'{self.clinical}'" if self.clinical else "one table of clinical values, or has several"
            raise Unsupported(f"the cohort lacks {what}: name one of {', '.join(tables) or 'none'} as `clinical`")
        return self.clinical or tables[0]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also without a clinical table of numbers, beside which patients have something else."""
        super().supports(cohort)
        if self.modality:
            return
        name = self.table(cohort)
        kinds = cohort.column_kinds(name)
        asked = [own for own in self.columns.split("+") if own]
        strange = [own for own in asked if kinds.get(own) != "number"]
        if strange or "number" not in kinds.values():
            what = f"column '{strange[0]}'" if strange else "any column"
            raise Unsupported(f"'{name}' does not have {what} as a number, which could be put into bins: name others")
        m = cohort.modalities.index(name)
        both = cohort.present[:, m] & (cohort.present.sum(1) > 1)
        require_pairs(cohort, of=both, what=f"'{name}' and another modality")

    def place(self, cohort: Cohort) -> int:
        """Return the place of the clinical table among the modalities of a training set; -1 if it has none."""
        try:
            return cohort.modalities.index(self.table(cohort)) if len(cohort.modalities) > 1 else -1
        except Unsupported:  # too few of these patients have it
            return -1

    def found(self, data: Prepared) -> list[Column]:
        """Return where the numbers of the clinical table stand; none where there is no table."""
        m = self.place(data.cohort)
        encoder = data.encoders[data.cohort.modalities[m]] if m >= 0 else None
        if not isinstance(encoder, TableEncoder) or encoder.scaler is None:
            return []
        asked = [own for own in self.columns.split("+") if own] or encoder.scaler.columns
        places = {name: (slot, k) for slot, part in enumerate(encoder.token_names) for k, name in enumerate(part)}
        return [
            Column(places[name], places.get(f"{name} is missing"))
            for name in asked
            if name in encoder.scaler.columns and name in places
        ]

    def values(self, data: Prepared) -> NDArray[np.float32]:
        """Return the scaled clinical values `(B, C)`, NaN where one is not known."""
        m, columns = self.place(data.cohort), self.found(data)
        if not columns:
            return np.full((len(data.present), 0), np.nan, np.float32)
        tokens = data.tokens[data.cohort.modalities[m]].take(np.arange(len(data.present))).values
        own = torch.stack([column.read(tokens) for column in columns], 1).numpy()
        return np.where(data.present[:, [m]], own, np.nan).astype(np.float32)

    def edges(self, data: Prepared) -> Tensor:
        """Return the edges of the bins `(C, bins - 1)`, quantiles of the patients trained on."""
        own = self.values(data)[~data.held_out]
        shares = np.arange(1, self.bins) / self.bins
        columns = [column[~np.isnan(column)] for column in own.T]
        found = [np.quantile(column, shares) if len(column) else np.zeros(self.bins - 1) for column in columns]
        return torch.from_numpy(np.array(found, np.float32).reshape(len(columns), self.bins - 1))

    def others(self, data: Prepared) -> list[int]:
        """Return the places of the modalities that the clinical values teach."""
        m = self.place(data.cohort)
        return [k for k in range(len(data.cohort.modalities)) if k != m]

    def paired(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients `(B,)` who are trained on, and have a clinical value and another modality."""
        known = ~np.isnan(self.values(data)).all(1)
        return np.asarray(~data.held_out & known & data.present[:, self.others(data)].any(1))

    def met(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the modalities `(M,)` that clinical values teach: those that two such patients have."""
        found = (data.present[self.paired(data)].sum(0) > 1) & bool(self.found(data))
        found[[k for k in range(len(found)) if k not in self.others(data)]] = False
        return np.asarray(found)

    def connected(self, data: Prepared) -> dict[str, int]:
        """Return the group of each modality: those that the values teach are one, and the table is by itself."""
        met = self.met(data)
        groups = {name: 0 if met[k] else k + 1 for k, name in enumerate(data.cohort.modalities)}
        return {**groups, SENTENCES: len(met) + 1}

    def idle(self, data: Prepared) -> tuple[str, ...]:
        """Return the beginnings of names of parameters that no phase trains."""
        return () if self.met(data).any() else ("log_scale",)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phase that clinical values teach, and that of the target; the latter alone where none does."""
        found = super().phases(data)
        if len(found) < 2:
            return found
        m, columns, edges, others = self.place(data.cohort), self.found(data), self.edges(data), self.others(data)
        name = data.cohort.modalities[m]
        options = f"{self.name}: {edges.tolist()}"

        def loss(fusion: Any, fused: Fused, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
            here = batch.present[:, m]
            tokens = batch.tokens[name].where_present(here).values
            values = torch.stack([column.read(tokens) for column in columns], 1)
            codes = binned(torch.where(here[:, None], values, torch.nan), edges.to(values.device))
            return {"clinical": taught(fused.extras["vectors"], batch.present, codes, others, fusion.scale())}

        return replace(found[0], objective=Taught(loss, options)), found[1]


def taught(vectors: Tensor, present: Tensor, codes: Tensor, others: list[int], scale: Tensor) -> Tensor:
    """Return the mean over columns and modalities of the supervised contrast within and between modalities.

    Args:
        vectors: `(B, M, D)` unit vectors; present: `(B, M)` bool.
        codes: `(B, C)` bins of the clinical values, -1 where one is not known: the patient has no part in that column.
        others: places of the modalities that are taught.
        scale: a scalar, one over the temperature.
    """
    terms = []
    for c in range(codes.shape[1]):
        targets, known = same_class(codes[:, c]), codes[:, c] >= 0
        for a in others:
            for b in (b for b in others if b >= a):
                here = known & present[:, a] & present[:, b]
                own, other = vectors[:, a], vectors[:, b]
                terms.append(contrast(own, other, scale, here=here, targets=targets, without_self=a == b))
    return torch.stack(terms).mean() if terms else vectors.sum() * scale * 0.0
