"""`unibiomed`: label maps that a text asks for, by a language model whose [SEG] is a prompt of SAM's decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from torch import nn

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.encoders.adaptable import InputsAsTheyAre
from chiasm.encoders.text.hub import speaks
from chiasm.encoders.text.huggingface import HuggingFace
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_prompts import OnSam
from chiasm.segmentation.asked_model import AskedDesign, AskedOutliner, BegunAsked, questions_of
from chiasm.segmentation.asked_sam import AskedDrawing, AskedMaps
from chiasm.segmentation.grids import Imaged
from chiasm.segmentation.model import Outliner, OutlinerDesign
from chiasm.tokens import Packed

TUNES = ("lora", "whole", "none")
ENCODED = (
    "that a causal language model encodes: encode it by hf:folder, a folder that transformers saved of a "
    "...ForCausalLM, with what the network reads kept (--inputs, or inputs=True)"
)


@dataclass(frozen=True)
class UniBiomed(OnSam):
    """Masks of the labels that a language model names when a patient's text asks it, each by its [SEG].

    Args:
        text: modality of the text that asks, encoded by a causal language model; empty: the only one.
        asked: whether the texts are read; false: nobody asks, with which a trial compares it.
        tune: how the language model is changed: "lora", "whole" or "none".
        rank: of the low-rank updates of its attention.
        soft: an image is shown to it as so many tokens a side.
        longest: pieces of a question that are read, the first.
        weights, size, adapter, patch, width, depth: as in `OnSam`, the others as in `OfMasks`.
    """

    text: str = ""
    asked: bool = True
    tune: str = "lora"
    rank: int = 8
    soft: int = 4
    longest: int = 64
    window: int = 1024
    learning_rate: float = 2e-3

    reads_inputs: ClassVar[bool] = True
    row: ClassVar[Row] = ROWS["unibiomed"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("tune", self.tune, TUNES)
        check_size("rank", self.rank, 1024)
        check_size("soft", self.soft, 32)
        check_size("longest", self.longest, 4096)

    @property
    def against(self) -> str:
        """The same recipe of which nobody asks anything, with which a trial compares it; empty: none."""
        return replace(self, asked=False).name if self.asked and not self.modality else ""

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return none: a contrast without a text is what `against` names."""
        return ()

    def question(self, cohort: Cohort) -> tuple[str, InputsAsTheyAre]:
        """Return the modality of the text that asks, and its encoder.

        Raises:
            Unsupported: there is none, or several and none is named.
        """
        found = {}
        for name in cohort.modalities:
            kept, how = cohort.inputs(name), cohort.encodings.get(name)
            if kept is None or how is None or how.kind != "text" or not len(kept):
                continue
            own = InputsAsTheyAre(how.encoder, how.kind, how.identity, int(kept.width), int(cohort.raw(name).width))
            encoder = own.encoder()
            if isinstance(encoder, HuggingFace) and speaks(encoder.folder) == "causal":
                found[name] = own
        if self.text and self.text not in found:
            raise Unsupported(f"'{self.text}' is no text {ENCODED}")
        if not found:
            raise Unsupported(f"masks are asked for in a text, and there is none {ENCODED}")
        if len(found) > 1 and not self.text:
            raise Unsupported(f"there are texts in {' and '.join(found)}: name the one that asks, as text={min(found)}")
        name = self.text or next(iter(found))
        return name, found[name]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also unless a text asks, images are pictures, and the language model reads so much."""
        super().supports(cohort)
        for name in self.contrasts(cohort):
            if kind_of_source(cohort, name) == "volume":
                raise Unsupported(f"unibiomed draws in pictures, and modality '{name}' is volumes")
        name, own = self.question(cohort)
        asked = self.soft**2 + self.longest + 2 * len(cohort.target.names if cohort.target else ()) + 1
        if asked > own.encoder().positions:
            raise Unsupported(
                f"the language model of '{name}' reads {own.encoder().positions} tokens, and {asked} are needed for an "
                "image, a question and its answer: take a smaller soft or longest"
            )

    def read(self, cohort: Cohort) -> Cohort:
        """Restrict the cohort to what is read: the contrasts, and the text."""
        return cohort.with_modalities(list(self.modalities(cohort)))

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the contrasts, and the text."""
        read = {*self.contrasts(cohort), self.question(cohort)[0]}
        return tuple(name for name in cohort.modalities if name in read)

    def restricted(self, training: Training) -> Training:
        """Restrict the training set to what is read, and to patients who have an image."""
        own = super().restricted(training)
        rows = np.flatnonzero(own.cohort.with_modalities(list(self.contrasts(own.cohort))).present.any(axis=1))
        return replace(own, cohort=own.cohort.subset(rows), outcome=own.outcome.take(rows))

    def stored_for(self, cohort: Cohort) -> AskedDesign:
        """Return the sizes of the network as they are stored."""
        rank = {"lora": self.rank, "whole": -1, "none": 0}[self.tune]
        return AskedDesign(self.stored, self.question(cohort)[1], self.soft, rank)

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, AskedMaps]:
        """Return what builds the network as its training begins, and the losses of words and masks."""
        stored = self.stored_for(training.cohort)
        design = BegunAsked(stored, Path(self.weights)) if self.weights else stored
        return design, AskedMaps(self.flips, self.crops)

    def beside(self, cohort: Cohort) -> dict[str, Packed]:
        """Return the pieces of the questions."""
        name, own = self.question(cohort)
        return questions_of(cohort, name if self.asked else "", own)

    def drawing(
        self, network: nn.Module, read: Mapping[str, Imaged], labels: int, window: tuple[int, ...]
    ) -> AskedDrawing:
        """Return what draws with a network in images, asked by the tokens of its text."""
        return AskedDrawing(network, read, labels, window, text=self.text if self.asked else "", longest=self.longest)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network, which then draws what it is asked for."""
        name, _ = self.question(training.cohort)
        named = replace(self, text=name)
        predictor, response = super(UniBiomed, named).learn(training)
        stored = self.stored_for(training.cohort)
        own = AskedOutliner.of(cast(Outliner, predictor), stored, name if self.asked else "", self.longest)
        return own, response
