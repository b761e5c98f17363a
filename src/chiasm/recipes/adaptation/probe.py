"""`probe`: linear probe, a fusion and a head on pooled tokens of frozen encoders; a reference for other recipes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.adaptable import InputsAsTheyAre, TokensAsTheyAre, is_adaptable
from chiasm.encoders.choice import choose
from chiasm.encoders.registry import columns_among
from chiasm.fitting.base import BaseRecipe, Training
from chiasm.fitting.neural import finish, prepare
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import AdaptedDesign, AdaptedRecipe
from chiasm.recipes.adaptation.trunks import with_others


@dataclass(frozen=True)
class Probe(AdaptedRecipe):
    """The fusion and head of all adapted recipes on stored tokens; a gain over it is due to the adaptation."""

    row: ClassVar[Row] = ROWS["probe"]
    reads_inputs: ClassVar[bool] = False

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the modalities whose tokens come from an adaptable network; their inputs need not be kept."""
        return {**_of_networks(cohort)}

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if no modality has an encoder with a network; the network itself need not run."""
        BaseRecipe.supports(self, cohort)
        if not self.adapted(cohort):
            raise Unsupported("no modality has an encoder with a network, such as text by minilm, or hf:folder")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the fusion and the head on stored tokens; no encoder network runs."""
        data = prepare(training, with_others(training.cohort, _of_networks(training.cohort)))
        design = AdaptedDesign(self.latent_width, {}, {}, columns_among(data.encoders))
        return finish(
            training, data, self.fitted(training, data, lambda: design.fusion(data.shapes, self.dropout)), design
        )


def _of_networks(cohort: Cohort) -> dict[str, TokensAsTheyAre]:
    """Return the modalities whose tokens come from an adaptable network."""
    found = {}
    for name in cohort.modalities:
        encoding = cohort.encodings.get(name)
        if cohort.kinds[name] != "tokens" or encoding is None:
            continue
        if is_adaptable(choose(encoding.kind, encoding.encoder).encoder):
            width = int(cohort.raw(name).width)
            found[name] = TokensAsTheyAre(encoding.encoder, encoding.kind, encoding.identity, width, width)
    return found
