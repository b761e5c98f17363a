"""`mammal`: MAMMAL (2024), a prompt of the modalities that a patient has, and a decoder that answers it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import fit_encoders
from chiasm.encoders.sequence.prompt_encoder import PromptTokens
from chiasm.fitting.base import Training, choice
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import NetworkPredictor, Shapes, check_size, check_sizes, finish, new_network, prepare
from chiasm.fitting.one_modality import OneModality
from chiasm.fitting.row import Row
from chiasm.fusion.prompted import PromptFusion
from chiasm.fusion.raw_prompts import MIXED, RawPromptFusion
from chiasm.fusion.transformer import check_heads
from chiasm.heads.head import output_width
from chiasm.heads.response import Response
from chiasm.protocols import Encoder, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.recipes.fusion.mammal_prompts import RawPromptDesign, levels_of, placed_in, prompts_of, require_prompts
from chiasm.targets import Target
from chiasm.training import Phase
from chiasm.training.prompt_answers import PromptAnswers

ANSWERS = ("classes", "labels", "numbers")


@storable("mammal")
@dataclass(frozen=True)
class MammalDesign:
    """Sizes of MAMMAL's network: outputs K, how they are answered, width D, layers, heads."""

    outputs: int
    answers: str
    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        check_size("outputs", self.outputs)
        choice("answers", self.answers, ANSWERS)
        check_sizes(1, self.width, self.depth, self.heads)
        check_heads(self.width, self.heads)

    @property
    def latent_width(self) -> int:
        """Always 0: the fusion returns the link itself."""
        return 0

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> PromptFusion:
        """Create a fresh fusion module of these sizes."""
        return PromptFusion(
            shapes, outputs=self.outputs, answers=self.answers, latent_width=self.width, depth=self.depth,
            heads=self.heads, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class MammalRecipe(NetworkRecipe):
    """One encoder-decoder for all tasks, trained end to end on the prompts of the patients.

    Args:
        latent_width, depth, heads: D, layers of the encoder and of the decoder, and attention heads of a layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    depth: int = 2
    heads: int = 4

    row: ClassVar[Row] = ROWS["mammal"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = MammalDesign(1, "numbers", self.latent_width, self.depth, self.heads)  # refuses invalid sizes

    def design_for(self, target: Target) -> MammalDesign:
        """Return the sizes of the network: classes and labels are answered in tokens, all else in numbers."""
        answers = "classes" if target.has_classes else "labels" if target.has_labels else "numbers"
        return MammalDesign(output_width(target), answers, self.latent_width, self.depth, self.heads)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also of prompts of which nothing can be learned, see `require_prompts`."""
        super().supports(cohort)
        own = tuple(prompts_of(cohort, self.modalities(cohort)))
        require_prompts(cohort, own)
        if own and self.upon and _may_mix(cohort.target):
            raise Unsupported("answers each task of the prompts in its own way, not upon another model: leave upon out")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network for the target, train and calibrate it."""
        own = prompts_of(training.cohort, training.cohort.modalities)
        if own:
            return self.learn_prompts(training, next(iter(own)), dict(own))
        data, design = prepare(training), self.design_for(training.target)
        network = new_network(training, data, design, self.dropout)
        if training.offset is not None:
            cast(PromptFusion, network.fusion).start_at_zero()
        return self.trained(training, data, design, network)

    def learn_prompts(self, training: Training, name: str, encoders: dict[str, Encoder]) -> tuple[Predictor, Response]:
        """Train on the user's own prompts, those of modality `name`; nothing is calibrated where tasks are mixed."""
        data = prepare(training, fit_encoders(training.cohort, encoders))
        pieces = cast(PromptTokens, data.encoders[name]).pieces
        assert pieces is not None  # it was fitted
        plain, answers, levels = self.design_for(training.target), "", None
        if _may_mix(training.target):
            levels = levels_of(data, name, pieces)
            answers = MIXED if len(pieces.tasks) > 1 or bool(levels[:, 2].any()) else ""
        design = RawPromptDesign(
            plain.outputs, answers or plain.answers, self.latent_width, self.depth, self.heads, name,
            len(pieces.vocabulary), pieces.task_ids, placed_in(pieces, data.encoders),
        )  # fmt: skip
        network = new_network(training, data, design, self.dropout)
        fusion = cast(RawPromptFusion, network.fusion)
        if training.offset is not None:
            fusion.start_at_zero()
        if levels is None or not answers:
            return self.trained(training, data, design, network)
        fusion.set_levels(levels)
        self.run(training, data, network, (Phase(self.training_options, PromptAnswers()),))
        predictor, response = finish(training, data, network, design)
        return predictor, replace(response, slope=1.0)  # one slope about one centre would bend what tasks differ by

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Extend a model of one modality to all patients, that of mixed tasks as it is."""
        if self.modality and isinstance(predictor, NetworkPredictor) and _is_mixed(predictor):
            prior = prior_link(whole.target, whole.outcome, whole.classes)
            return OneModality(predictor, self.modality, prior, prior), response
        return super().completed(whole, training, predictor, response)


def _may_mix(target: Target | None) -> bool:
    """Tell whether the outcome is one number, of which each prompt may say by its task what it is."""
    return target is not None and target.is_scaled and not target.has_channels


def _is_mixed(predictor: NetworkPredictor) -> bool:
    return isinstance(predictor.design, RawPromptDesign) and predictor.design.answers == MIXED
