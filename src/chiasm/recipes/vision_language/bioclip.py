"""`bioclip`: captions of seven ranks of a species, of which one kind is drawn in each step (CVPR 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.taxonomy import MODES, captions_of
from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.worded import WordedRecipe


@dataclass(frozen=True)
class BioClip(WordedRecipe):
    """Contrast of images with captions of their species; the `lineages` of the manifest's `[knowledge]` make them.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads, words, encoder: as in `WordedRecipe`.
        captions: which are read: common, scientific, taxonomic, scientific+common, taxonomic+common, or "drawn", one of
            these in each step.
    """

    captions: str = "drawn"

    row: ClassVar[Row] = ROWS["bioclip"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("captions", self.captions, ("drawn", *MODES))

    @property
    def reads_label_texts(self) -> bool:
        """True: the one-modality forms read it too, so that it is no gain of combining."""
        return True

    def written(self, cohort: Cohort) -> list[tuple[str, ...]]:
        """Return the captions of each label of the target; none where its lineage is not known."""
        known = {} if cohort.label_texts is None else cohort.label_texts.lineages
        return [captions_of(known[name], self.captions) if name in known else () for name in self.names(cohort)]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if a label of the target has no lineage."""
        lacking = sum(not own for own in self.written(cohort))
        if lacking:
            raise Unsupported(
                f"{lacking} of the {len(self.names(cohort))} labels of the target have no lineage: name a table of a "
                'label, its genus and species and the ranks above as lineages = "..." in [knowledge], or use unicl'
            )
        super().supports(cohort)
