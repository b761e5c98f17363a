"""What recipes that draw label maps share: their images, the windows that are cut, and how a network is trained."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from chiasm.artifact import content_of
from chiasm.cohort import Cohort, Target, Unsupported, holdout
from chiasm.compute.isolation import seeded
from chiasm.encoders.frozen import hash_state
from chiasm.fitting.base import LEAST_PATIENTS, Training, choice
from chiasm.fitting.neural import VALIDATION, build, check_size, parameter_count, state_of
from chiasm.fitting.of_images import OfImages, images_named
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.segmentation.drawing import AXES_OF, FLIPS, Drawing, DrawnMaps, numbers_of
from chiasm.segmentation.grids import KINDS, Imaged, ImageGrids, grids_of, images_of, of_row, on_shelves
from chiasm.segmentation.model import Outliner, OutlinerDesign
from chiasm.segmentation.plan import Plan, grid_as_planned
from chiasm.segmentation.tidying import CHOSEN, chosen_ways
from chiasm.targets.label_maps import LabelMaps, usual_map
from chiasm.targets.mask import maps_of
from chiasm.tokens import Packed
from chiasm.training import Examples, Network, Objective, Phase, TargetTensors, TrainOptions, train
from chiasm.training.batches import presence, take
from chiasm.training.network import in_evaluation

FEW = 2
"""The fewest patients of a fit that is asked for with few: one is learned from, and one stops the training."""


@dataclass(frozen=True)
class OfMasks(OfImages):
    """Base of recipes whose network draws label maps: trained on windows that slide over an image later.

    A fifth of the patients is held out, and stops the training.

    Args:
        modality: the one contrast to read; empty: every modality of images, of which a patient may lack any.
        window: longest side of a window in pixels or voxels; one as large as the largest image is not exceeded.
        crops: windows of each patient in a step.
        flips: how windows may be turned over in training: none, sideways, or all.
        mirrors: each window is drawn in also turned over, in prediction, and the mean is taken; no more than `flips`.
        tidy: what is done to what was drawn, its largest part alone and holes filled: none, or held-out, of each label
            what raises the dice of the held-out patients.
        plan: file of a plan (`chiasm plan`), whose window, batch, crops, spacing and scale of numbers are used instead.
        modality_dropout: chance that a contrast is taken from a patient in a step, where there are several.
        epochs, patience, batch, learning_rate, weight_decay: training options.
        few: fit also on two to nine patients, whose images have many pixels each; how well others are drawn is then not
            known.
    """

    window: int = 64
    crops: int = 2
    flips: str = "none"
    mirrors: str = "none"
    tidy: str = "none"
    plan: str = ""
    modality_dropout: float = 0.2
    epochs: int = 60
    patience: int = 15
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    few: bool = False

    file_options: ClassVar[tuple[str, ...]] = ("plan",)

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("flips", self.flips, FLIPS)
        choice("mirrors", self.mirrors, FLIPS)
        choice("tidy", self.tidy, CHOSEN)
        if AXES_OF[self.mirrors] > AXES_OF[self.flips]:
            raise ValueError(
                f"mirrors={self.mirrors} asks of images turned over, and flips={self.flips} trains on fewer: set it too"
            )
        check_size("window", self.window, 1024)
        check_size("crops", self.crops, 64)
        _ = self.training_options  # refuses invalid values

    @property
    def least_patients(self) -> int:
        """Return the fewest patients of a fit."""
        return FEW if self.few else LEAST_PATIENTS

    @property
    def named_files(self) -> tuple[str, ...]:
        """The files and folders that the options name."""
        return tuple(own for own in (str(getattr(self, name)) for name in self.file_options) if own)

    @property
    def training_options(self) -> TrainOptions:
        """Options of the training."""
        return TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )

    def design(self) -> OutlinerDesign:
        """Return the stored sizes of the network."""
        raise NotImplementedError(f"{type(self).__name__} has no design of a network")

    def objective(self) -> Objective:
        """Return what a step of the training minimises; here the losses of a network that draws by itself."""
        return DrawnMaps(self.flips, self.crops)

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, Objective]:
        """Return the stored sizes of the network and what it is trained on; here, without a look at the training."""
        return self.design(), self.objective()

    def begun(self, network: nn.Module, training: Training) -> None:
        """Put weights into a fresh network where its training begins with some: here it begins with none."""

    @property
    def planned(self) -> Plan | None:
        """The plan that is named, as its file is now.

        Raises:
            FileNotFoundError, ValueError: there is none, or it cannot be followed.
        """
        return Plan.read(Path(self.plan)) if self.plan else None

    def supports_target(self, target: Target | None) -> None:
        """Refuse, before anything is encoded, also a plan that is none."""
        super().supports_target(target)
        _ = self.planned

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the target is label maps, and images are at hand as grids."""
        if cohort.target is None or not cohort.target.has_masks:
            raise Unsupported('label maps are drawn for a target of them: write kind = "mask" in [target]')
        super().supports(cohort)
        names, plan = self.contrasts(cohort), self.planned
        if plan is not None:
            plan.require_suits(cohort, names)
        for name in names:
            grids_of(cohort, name)

    def contrasts(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities in whose images label maps are drawn."""
        return images_named(cohort, self.modality, KINDS, "label maps are drawn")

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that are read; here the contrasts alone."""
        return self.contrasts(cohort)

    def scaled(self, grids: dict[str, ImageGrids]) -> dict[str, ImageGrids]:
        """Return how images are read, by contrast; here as their own training set has it."""
        return grids

    def beside(self, cohort: Cohort) -> dict[str, Packed]:
        """Return the tokens that are read beside the images, by modality; here none."""
        return {}

    def drawing(self, network: nn.Module, read: Mapping[str, Imaged], labels: int, window: tuple[int, ...]) -> Drawing:
        """Return what draws with a network in images, and in windows of them, while it is trained."""
        return Drawing(network, read, labels, window)

    def multiplications(self, cohort: Cohort) -> float:
        """Those of a convolutional network on a batch of windows."""
        return 1e8 * self.batch

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network."""
        cohort, outcome, labels = training.cohort, training.outcome, len(training.target.names)
        names, plan = sorted(self.contrasts(cohort)), self.planned
        grids = self.scaled({name: grid_as_planned(cohort, name, outcome, plan) for name in names})
        shelves, images_read = on_shelves(cohort, grids)
        tokens = {**images_read, **self.beside(cohort)}
        present, maps = presence(tokens, names), maps_of(outcome)
        planned = self if plan is None else replace(self, batch=plan.batch, crops=plan.crops)
        design, objective = planned.drawn_by(training)
        shapes, spacings = [], []
        for row in range(len(cohort)):
            here = take(tokens, np.array([row])), torch.from_numpy(present[[row]])
            with of_row(int(cohort.file_rows[row])):
                images, spacing = images_of(*here, shelves, 0)
            first = next(iter(images.values()))
            shapes.append(first.grid)
            drawn = maps.of(row)
            spacings.append((drawn.spacing, spacing))
            if first.values.shape[1:] != drawn.shape:
                raise Unsupported(
                    f"row {int(cohort.file_rows[row])}: the label map has another shape than the image: name the one "
                    "that was drawn on it, or resample it to the image"
                )
        sides = (self.window,) * len(shapes[0]) if plan is None else plan.window
        if len(sides) != len(shapes[0]):
            raise Unsupported(f"the plan is of images of {len(sides)} axes, and these have {len(shapes[0])}: plan anew")
        window = tuple(min(wide, max(own)) for wide, own in zip(sides, zip(*shapes, strict=True), strict=True))
        target = TargetTensors(torch.from_numpy(outcome.value).float(), numbers_of(maps))
        held_out = holdout(cohort, VALIDATION, seed=training.seed)
        if len(cohort) < LEAST_PATIENTS:
            stop = int(held_out.sum())
            warnings.warn(
                f"patients with an image and a label map: {len(cohort)}; learned from: {len(cohort) - stop}; held out "
                f"to stop the training: {stop}; how well others are drawn is not known from so few",
                stacklevel=2,
            )
        examples = Examples(tokens, present, target, held_out)
        channels = {name: own.channels for name, own in grids.items()}
        network = build(lambda: design.network(channels, len(window), labels), seeded(training.seed, "outliner"))
        self.begun(network, training)
        drawing = self.drawing(network, shelves, labels, window)
        phase = Phase(planned.training_options, objective)
        (history,) = train(
            Network(drawing, Head(0, labels, training.target.kind)), examples, (phase,),
            seed=training.seed, checkpoint=training.file(self.id), device=training.device,
            beside=self.begins_as(network, grids, window),
        )  # fmt: skip
        without = np.concatenate([outcome.value.mean(axis=0), usual_map(maps).numbers()])
        predictor = Outliner(
            grids,
            design,
            labels,
            window,
            state_of(network),
            without,
            parameter_count(network),
            history.best_epoch,
            spacing_of_maps(spacings),
            self.mirrors,
            self.tidied(self.mirrored(self.drawing(network, shelves, labels, window)), examples, maps),
        )
        response = Response(training.target.kind, training.target.names, (), 1.0, 0.0, np.zeros(0), np.zeros(0))
        return predictor, response

    def begins_as(self, network: nn.Module, grids: Mapping[str, ImageGrids], window: Sequence[int]) -> str:
        """Return what tells a training apart beside its patients: options, images as read, window, first weights."""
        own = [self.name, {name: content_of(grid) for name, grid in grids.items()}, list(window)]
        return json.dumps([*own, hash_state(network.state_dict())])

    def mirrored(self, drawing: Drawing) -> Drawing:
        """Let a drawing turn windows over as in prediction, and return it."""
        drawing.mirrors = self.mirrors
        return drawing

    def tidied(self, drawing: Drawing, examples: Examples, maps: LabelMaps) -> tuple[str, ...]:
        """Return what is done to each label that was drawn, as the held-out patients have it; empty: nothing."""
        if self.tidy == CHOSEN[0]:
            return ()
        with in_evaluation(drawing), torch.inference_mode():
            pairs = (
                (drawing.codes(take(examples.tokens, rows), torch.from_numpy(examples.present[rows]), 0)[0],
                 maps.of(int(rows[0])).codes)
                for rows in np.flatnonzero(examples.held_out)[:, None]
            )  # fmt: skip
            ways = chosen_ways(pairs, drawing.labels)
        return ways if any(ways) else ()


def spacing_of_maps(pairs: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> tuple[float, ...]:
    """The spacing of label maps where all have one and an image says another; else empty: each image's own.

    Pictures, and arrays for maps, seldom say it: what is drawn is in the unit of what it is held against.

    Args:
        pairs: of each patient the spacing of the label map and that of the image.
    """
    said = {drawn for drawn, _ in pairs}
    alike = all(np.allclose(drawn, image, rtol=1e-3) for drawn, image in pairs)
    return () if alike or len(said) > 1 else said.pop()
