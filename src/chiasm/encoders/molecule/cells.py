"""Single-cell encoder: one token per cell, the principal components of its normalised counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy import sparse  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Array, Projection
from chiasm.readers import Cells
from chiasm.tokens import Tokens

LIBRARY = 1e4
POOLED = 10_000  # training cells in all on which the components are fitted


@storable("encoder-cells")
@dataclass(frozen=True)
class CellComponents:
    """Single-cell encoder with principal components of the most variable genes, fitted on training patients.

    Per cell `x = log(1 + 10^4 counts / total)`, with the total over the genes that every training patient has. Of these
    the `genes` with the largest variance over the pooled training cells are kept and projected on their `components`
    first principal components, divided by the standard deviation of the first. A gene that a later patient lacks is set
    to its training mean, which contributes nothing. For fitting, all training patients have the same limit of cells,
    10,000 in all; each patient has at most `cells` tokens, evenly spaced over the rows of the file.

    Normalisation, logarithm and projection follow Luecken and Theis (Mol Syst Biol 2019, doi:10.15252/msb.20188746);
    the variance is not corrected for its trend with the mean.

    Args:
        components, cells, genes: the width, the maximum tokens per patient, the maximum number of genes.
        panel: the genes that every training patient has, sorted.
        chosen: `(G,)` int64 positions of the variable genes in `panel`.
        projection: the projection of `(cells, G)`; None before `fit`.
    """

    components: int = 50
    cells: int = 500
    genes: int = 2000
    panel: tuple[str, ...] = ()
    chosen: np.ndarray | None = None
    projection: Projection | None = None

    id: ClassVar[str] = "cells"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = True
    batch: ClassVar[int] = 8
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if min(self.components, self.cells, self.genes) < 1:
            raise ValueError("the encoder 'cells' needs components, cells and genes of one or more")

    @property
    def width(self) -> int:
        return self.components if self.projection is None else int(self.projection.components.shape[1])

    def fit(self, raw: Sequence[Cells], patients: Sequence[str] = ()) -> Self:
        """Fit on the training patients; each is read once.

        Raises:
            ValueError: the patients have no gene in common, or no two cells.
        """
        most = min(self.cells, max(1, POOLED // max(1, len(raw))))
        samples = [(sparse.csc_matrix(own.values[_spaced(len(own.values), most)]), own.genes) for own in raw]
        shared = set(samples[0][1]).intersection(*(genes for _, genes in samples)) if samples else set()
        if not shared:
            raise ValueError("the patients have no gene in common: name genes alike in all files")
        panel = tuple(sorted(shared))
        pooled = sparse.vstack([_normalised(counts[:, _places(genes, panel)]) for counts, genes in samples]).tocsc()
        if pooled.shape[0] < 2:
            raise ValueError("components need two cells or more: give more patients")
        mean = np.asarray(pooled.mean(0)).ravel()
        variance = np.asarray(pooled.multiply(pooled).mean(0)).ravel() - mean**2  # (panel,)
        chosen = np.sort(np.argsort(-variance, kind="stable")[: self.genes]).astype(np.int64)
        projection = Projection.fit(pooled[:, chosen].toarray(), self.components)
        return type(self)(self.components, self.cells, self.genes, panel, chosen, projection)

    def encode(self, raw: Sequence[Cells]) -> Tokens:
        """Encode patients to tokens `(n, most cells of a patient, width)`, padded and masked.

        Raises:
            ValueError: a patient lacks more than half of the chosen genes.
        """
        parts = [self._tokens(own) for own in raw]
        values = np.zeros((len(parts), max([1, *map(len, parts)]), self.width), np.float32)
        mask = np.zeros(values.shape[:2], bool)
        for row, part in enumerate(parts):
            values[row, : len(part)], mask[row, : len(part)] = part, True
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask))

    def _tokens(self, own: Cells) -> Array:
        if self.projection is None or self.chosen is None:
            raise ValueError("the cell encoder is not fitted: call fit on training patients first")
        here = set(own.genes)
        known = tuple(gene for gene in self.panel if gene in here)
        kept = [self.panel[k] for k in self.chosen]
        missing = [gene for gene in kept if gene not in here]
        if 2 * len(missing) > len(kept):
            raise ValueError(
                f"{len(missing):,} of the {len(kept):,} genes of the encoder are missing, the first is '{missing[0]}': "
                "name genes as in training"
            )
        counts = sparse.csc_matrix(own.values[_spaced(len(own.values), self.cells)][:, _places(own.genes, known)])
        normalised = _normalised(counts)
        place = {gene: k for k, gene in enumerate(known)}
        values = np.tile(self.projection.mean, (normalised.shape[0], 1))  # (cells, G)
        there = [k for k, gene in enumerate(kept) if gene in place]
        values[:, there] = normalised[:, [place[kept[k]] for k in there]].toarray()
        return self.projection(values)


def _spaced(n: int, most: int) -> np.ndarray:
    """Choose at most `most` of n rows, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _places(genes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    place = {gene: k for k, gene in enumerate(genes)}
    return np.array([place[gene] for gene in wanted], np.int64)


def _normalised(counts: Any) -> Any:
    """Normalise sparse counts `(cells, genes)` to `log(1 + 10^4 x / total)`; a cell without counts stays zero."""
    total = np.asarray(counts.sum(1, dtype=np.float64)).ravel()
    scale = np.divide(LIBRARY, total, out=np.zeros_like(total), where=total > 0)
    return (sparse.diags(scale) @ counts.astype(np.float64)).log1p().tocsc()
