"""Sizes of a network that reads modalities and sentences into one space."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.cohort.kinds import as_read
from chiasm.fitting.neural import Shapes, check_sizes
from chiasm.fusion.transformer import check_heads
from chiasm.fusion.worded import WordedModalities

GRIDS = ("image", "volume", "dicom")


def grids_of(cohort: Cohort, shapes: Shapes) -> tuple[str, ...]:
    """Return the modalities whose tokens are patches of a grid, each in its place."""
    kinds = {name: cohort.encodings[name].kind for name in cohort.modalities if name in cohort.encodings}
    return tuple(name for name, kind in kinds.items() if as_read(kind) in GRIDS and shapes[name][1])


@storable("worded")
@dataclass(frozen=True)
class WordedDesign:
    """Sizes of the network, and what reads sentences: see `WordedModalities`; `encoder` gives their tokens."""

    latent_width: int
    temperature: float
    depth: int = 1
    heads: int = 4
    grids: tuple[str, ...] = ()
    words: str = ""
    told: tuple[int, int] = (0, 0)
    encoder: str = ""
    identity: str = ""
    patches: bool = False
    queries: bool = False
    sigmoid: bool = False

    def __post_init__(self) -> None:
        check_sizes(1, self.latent_width, max(self.depth, 1), self.heads)
        check_heads(self.latent_width, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> WordedModalities:
        """Create a fresh fusion module of these sizes."""
        return WordedModalities(
            shapes, self.latent_width, dropout, temperature=self.temperature, grids=self.grids, words=self.words,
            told=(self.told[0], self.told[1]), depth=self.depth, heads=self.heads, patches=self.patches,
            queries=self.queries, sigmoid=self.sigmoid, encoder=(self.encoder, self.identity),
        )  # fmt: skip
