"""What recipes that draw boxes share: one modality of images, the target of boxes, and how a finder is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from chiasm.cohort import Cohort, Unsupported, holdout
from chiasm.compute.isolation import seeded
from chiasm.detection.drawing import FLIPS, Drawing, DrawnBoxes, found_in, marks_of
from chiasm.detection.model import BoxFinder, as_link, best_scores
from chiasm.encoders import pack
from chiasm.encoders.image.put_together import pixels_of
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import VALIDATION, build, parameter_count, state_of
from chiasm.fitting.of_images import OfImages, image_named
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.targets.boxes import boxes_of
from chiasm.targets.marked import usual_boxes
from chiasm.training import Examples, Network, Phase, TargetTensors, TrainOptions, train
from chiasm.training.batches import presence

FOUND = "boxes are found in"
USUAL = "patches:size=128,patch=16,channels=3"


@dataclass(frozen=True)
class OfBoxes(OfImages):
    """Base of recipes that draw boxes in one modality of images.

    A fifth of the patients is held out: it stops the training, and says from which score on a box of a label counts.

    Args:
        modality: the one of the images; empty: the only one of images that the cohort has.
        flips: how images may be turned over in training: none, sideways, or all (upside down too).
        epochs, patience, batch, learning_rate, weight_decay: training options.
    """

    flips: str = "none"
    epochs: int = 60
    patience: int = 20
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("flips", self.flips, tuple(FLIPS))
        _ = self.training_options  # refuses invalid values

    @property
    def training_options(self) -> TrainOptions:
        """Options of the training."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)

    @property
    def reads_presence(self) -> bool:
        """False: one modality is read, and who lacks it is told what training images have on average."""
        return False

    def design(self) -> Any:
        """Return the stored sizes of the finder, a `FinderDesign`."""
        raise NotImplementedError(f"{type(self).__name__} has no design of a finder")

    def begun(self, design: Any) -> Any:
        """Return what builds the finder as its training begins; the design itself unless a recipe brings weights."""
        return design

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the target is boxes, and pixels of one modality of images are at hand."""
        if cohort.target is None or not cohort.target.has_boxes:
            raise Unsupported('boxes are drawn for a target of boxes: write kind = "boxes" in [target]')
        super().supports(cohort)
        (name,) = self.modalities(cohort)
        self.fits(pixels_of(cohort, name, FOUND, USUAL).size)

    def fits(self, size: int) -> None:
        """Raise `Unsupported` if images of so many pixels a side do not suit the network; all do by default."""

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modality of the images alone."""
        return (image_named(cohort, self.modality, "boxes are", "centres:modality=smear"),)

    def multiplications(self, cohort: Cohort) -> float:
        """Those of a convolutional network on a batch of images."""
        return 1e8 * self.batch

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the finder, and choose on the held-out patients from which score on a box counts."""
        cohort, outcome = training.cohort, training.outcome
        (name,), labels, design = cohort.modalities, len(training.target.names), self.design()
        begun = self.begun(design)
        pixels = pixels_of(cohort, name, FOUND, USUAL).fit(cohort.raw(name))
        self.fits(pixels.size)
        tokens = pack(cohort, {name: pixels})
        held_out = holdout(cohort, VALIDATION, seed=training.seed)
        target = TargetTensors(torch.from_numpy(outcome.value).float(), marks_of(outcome))
        examples = Examples(tokens, presence(tokens, [name]), target, held_out)
        finder = build(lambda: begun.finder(pixels.channels, pixels.size, labels), seeded(training.seed, "finder"))
        drawing = Drawing(finder, name, pixels, labels)
        network = Network(drawing, Head(0, labels, training.target.kind))
        phase = Phase(self.training_options, DrawnBoxes(self.flips))
        (history,) = train(
            network, examples, (phase,), seed=training.seed, checkpoint=training.file(self.id), device=training.device
        )
        rows = np.flatnonzero(held_out) if held_out.any() else np.arange(len(held_out))
        least = best_scores(found_in(drawing, tokens, rows), outcome.take(rows))
        without = as_link(outcome.value.mean(axis=0), usual_boxes(boxes_of(outcome)))
        predictor = BoxFinder(
            name, pixels, design, labels, state_of(finder), least, without, parameter_count(finder), history.best_epoch
        )
        response = Response(training.target.kind, training.target.names, (), 1.0, 0.0, np.zeros(0), np.zeros(0))
        return predictor, response
