"""A fitted network that draws what a text asks for: its sizes, and how questions reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import pack
from chiasm.encoders.adaptable import InputsAsTheyAre
from chiasm.segmentation.asked_sam import AskedDrawing, AskedSam
from chiasm.segmentation.grids import Imaged
from chiasm.segmentation.model import Outliner
from chiasm.segmentation.sam import load_weights
from chiasm.segmentation.sam_design import SamDesign
from chiasm.tokens import Packed


@storable("asked-design")
@dataclass(frozen=True)
class AskedDesign:
    """Sizes of an `AskedSam`, and the language model that it stands on, which stays where it is.

    Args:
        sam: of the promptable network.
        question: the encoder of the text, whose network is the language model.
        soft: S, the image is shown as S x S tokens.
        rank: of the low-rank updates; 0: none, -1: all of the language model is trained, and stored.
    """

    sam: SamDesign
    question: InputsAsTheyAre
    soft: int
    rank: int

    def __post_init__(self) -> None:
        if not 1 <= self.soft <= 32 or not -1 <= self.rank <= 1024:
            raise ValueError("soft lies between 1 and 32, and rank between -1 and 1,024")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> AskedSam:
        """Build a fresh network for these contrasts.

        Raises:
            Unsupported: the language model is not that of the fit.
        """
        network = self.sam.network(channels, axes, labels)
        return AskedSam(network, self.question.trunk().network, self.soft, self.rank)


@dataclass(frozen=True)
class BegunAsked:
    """A network that begins with the SAM of a local folder; stored as what it is built of alone."""

    stored: AskedDesign
    folder: Path

    def network(self, channels: dict[str, int], axes: int, labels: int) -> AskedSam:
        """Build the network, with SAM's weights."""
        made = self.stored.network(channels, axes, labels)
        load_weights(made.sam.sam, self.folder)
        return made


@storable("asked-outliner")
@dataclass(frozen=True)
class AskedOutliner(Outliner):
    """Predictor of the label maps that texts ask for.

    Args:
        text: modality of the text; empty: nobody's is read.
        question: its encoder.
        longest: pieces of a question that are read.
    """

    text: str = ""
    question: InputsAsTheyAre | None = None
    longest: int = 64

    reads_inputs = True

    @classmethod
    def of(cls, own: Outliner, design: AskedDesign, text: str, longest: int) -> Self:
        """The same predictor as one that is asked, stored with this design."""
        held = {field.name: getattr(own, field.name) for field in fields(own)}
        return cls(**{**held, "design": design}, text=text, question=design.question, longest=longest)

    def beside(self, cohort: Cohort) -> dict[str, Packed]:
        """Return the pieces of the questions."""
        return questions_of(cohort, self.text, self.question)

    def drawing(self, read: Mapping[str, Imaged] | None = None) -> AskedDrawing:
        """Rebuild the trained network, with what asks it."""
        given: Any = (self.network(), read or self.grids, self.labels, self.window, self.mirrors)
        return AskedDrawing(*given, text=self.text, longest=self.longest)


def questions_of(cohort: Cohort, text: str, question: InputsAsTheyAre | None) -> dict[str, Packed]:
    """Return the windows of pieces of the texts that ask, by modality; none where none is read."""
    return pack(cohort, {text: question}) if text and question is not None else {}
