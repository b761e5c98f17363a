"""`flair`: sentences in which experts describe each label, instead of its name (Medical Image Analysis 2025)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.row import Row
from chiasm.recipes.vision_language import ROWS
from chiasm.recipes.vision_language.worded import WordedRecipe


@dataclass(frozen=True)
class ExpertWords(WordedRecipe):
    """Base of recipes that read what experts wrote of each label: the `prompts` of the manifest's `[knowledge]`."""

    @property
    def reads_label_texts(self) -> bool:
        """True: the one-modality forms read it too, so that it is no gain of combining."""
        return True

    def written(self, cohort: Cohort) -> list[tuple[str, ...]]:
        """Return the sentences of each label of the target; none where nothing is written."""
        known = {} if cohort.label_texts is None else cohort.label_texts.sentences
        return [known.get(name, ()) for name in self.names(cohort)]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if a label of the target has no sentence."""
        lacking = sum(not own for own in self.written(cohort))
        if lacking:
            number = len(self.names(cohort))
            raise Unsupported(
                f"{lacking} of the {number} labels of the target have no sentence of an expert: name a table of a "
                'label and a sentence as prompts = "..." in [knowledge], or use unicl, which reads their names'
            )
        super().supports(cohort)


@dataclass(frozen=True)
class Flair(ExpertWords):
    """Contrast of images with a sentence of a label that is drawn; who shares a label is positive.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        depth, heads, words, encoder: as in `WordedRecipe`.
    """

    row: ClassVar[Row] = ROWS["flair"]
    shares_labels: ClassVar[bool] = True
