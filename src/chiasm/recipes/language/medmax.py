"""`medmax`: images as codes among the words of one causal model, which names them and draws them (MedMax)."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Target, Unsupported, holdout
from chiasm.compute.isolation import seeded
from chiasm.encoders import pack
from chiasm.encoders.image.put_together import ImagePixels, pixels_of
from chiasm.fitting.base import Training
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.neural import HELD_TO_ONE, VALIDATION, build, parameter_count, restore, state_of
from chiasm.fitting.of_images import OfImages, image_named
from chiasm.fitting.row import Row
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.language.named_images import BothOrders, NamedImages, NamedImagesDesign
from chiasm.language.visual_words import Quantiser, QuantiserDesign, taught_quantiser
from chiasm.protocols import Predictor
from chiasm.readers.registry import missing
from chiasm.recipes.language import ROWS
from chiasm.tokens import PackedTokens
from chiasm.training import Examples, Network, Phase, TargetTensors, TrainOptions, predict_link, train
from chiasm.training.batches import presence

AT_ONCE = 64
READ = "codes are made of"
USUAL = "patches:size=32,patch=8"


@storable("early-fusion-of-images")
@dataclass(frozen=True)
class EarlyFusionPredictor:
    """One model of words and images: it names the image of a patient, and draws images of a name.

    Args:
        modality: of the images.
        pixels: how they are read.
        design: builds the model that `state` fills.
        codebook: parameters and buffers of the VQVAE.
        without: `(K,)` link of a patient without an image.
        kind: of the target.
        epochs: after so many it was kept.
    """

    modality: str
    pixels: ImagePixels
    design: NamedImagesDesign
    codebook: dict[str, np.ndarray] = field(repr=False)
    state: dict[str, np.ndarray] = field(repr=False)
    without: np.ndarray
    kind: str
    trained_parameters: int
    epochs: int = 0

    def __post_init__(self) -> None:
        if self.without.shape != (len(self.design.names),):
            raise ValueError("what is said without an image is one number for each name")
        if (self.pixels.channels, self.pixels.size) != (self.design.quantiser.channels, self.design.quantiser.size):
            raise ValueError("the VQVAE is for images of another size than those that are read")

    def network(self) -> Network:
        """Rebuild the trained model."""
        made = build(lambda: Network(self.design.fusion(self.modality), Head(0, len(self.design.names), self.kind)), 0)
        restore(made, self.state)
        return made

    def quantiser(self) -> Quantiser:
        """Rebuild the VQVAE."""
        made = build(self.design.quantiser.build, 0)
        restore(made, self.codebook)
        return made.eval()

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the log-likelihood of each name `(B, K)`, in the cohort's sorted row order."""
        out = np.tile(self.without, (len(cohort), 1))
        rows = cohort.rows_of(self.modality) if self.modality in cohort.modalities else np.zeros(0, int)
        if len(rows):
            own = cohort.with_modalities([self.modality]).subset(rows)
            tokens = {self.modality: codes_of(own, self.modality, self.pixels, self.quantiser())}
            out[rows] = predict_link(self.network(), tokens, np.ones((len(rows), 1), bool))
        return out

    def drawn(self, name: str, count: int = 1, *, seed: int = 0) -> np.ndarray:
        """Draw images of a name, `(count, C, size, size)` in the values of the encoder that kept the images.

        Raises:
            ValueError: it is no name of a label.
        """
        if name not in self.design.names:
            raise ValueError(f"'{name}' is no label: it draws {', '.join(self.design.names)}")
        fusion = self.network().eval().fusion
        assert isinstance(fusion, NamedImages)
        with torch.no_grad():
            codes = fusion.drawn(self.design.names.index(name), count, seed=seed)
            images = self.quantiser().decode(codes).numpy()
        return np.asarray(images * self.pixels.spread[:, None, None] + self.pixels.mean[:, None, None])


@dataclass(frozen=True)
class MedMax(OfImages):
    """A VQVAE of the training images, and one causal model of its codes and the labels' names, in both orders.

    Both are trained from nothing within the fold, on the training patients who have an image.

    Args:
        modality: the one of the images; empty: the only one of images that the cohort has.
        codes, halvings: size of the codebook, and how often a side of an image is halved before.
        quantiser_steps: of the training of the VQVAE.
        width, depth, heads: of the causal model.
        epochs, patience, batch, learning_rate, weight_decay: of its training.
    """

    codes: int = 64
    halvings: int = 2
    quantiser_steps: int = 400
    width: int = 48
    depth: int = 2
    heads: int = 4
    epochs: int = 60
    patience: int = 12
    batch: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2

    row: ClassVar[Row] = ROWS["medmax"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantiser_steps < 1:
            raise ValueError(f"quantiser_steps={self.quantiser_steps} must be 1 or more")
        _ = self.training_options, self.design(("a",), 1, 2**self.halvings)  # refuse invalid values

    @property
    def training_options(self) -> TrainOptions:
        """Options of the training of the causal model."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)

    @property
    def reads_presence(self) -> bool:
        """False: one modality is read, and who lacks it is told the prior."""
        return False

    def design(self, names: tuple[str, ...], channels: int, size: int) -> NamedImagesDesign:
        """Return the sizes for images of so many channels and pixels a side."""
        quantiser = QuantiserDesign(channels, size, self.halvings, self.codes)
        return NamedImagesDesign(names, quantiser, self.width, self.depth, self.heads)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless the target has classes, and pixels of one modality of images are at hand."""
        super().supports(cohort)
        self.supports_target(cohort.target)
        (name,) = self.modalities(cohort)
        pixels = pixels_of(cohort, name, READ, USUAL)
        if pixels.size % 2**self.halvings:
            raise Unsupported(
                f"halves a side of {pixels.size} pixels {self.halvings} times, which leaves a rest: encode images with "
                "a size that is a multiple, or give halvings="
            )
        for package, extra in (("monai", "imaging"), ("transformers", "hub")):
            if find_spec(package) is None:
                raise missing(package, extra, "images as words")

    def supports_target(self, target: Target | None) -> None:
        """Raise `Unsupported` unless the target has classes."""
        super().supports_target(target)
        if target is None or not target.has_classes:
            raise Unsupported("says the name of a class: take a target of kind classification")

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modality of the images alone."""
        return (image_named(cohort, self.modality, "a class is seen", "medmax:modality=smear"),)

    def multiplications(self, cohort: Cohort) -> float:
        """Those of a convolutional network on a batch of images."""
        return 1e6 * self.batch

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the VQVAE on the images, and the causal model on its codes with the names; calibrate what it says."""
        cohort, outcome, target = training.cohort, training.outcome, training.target
        (name,) = cohort.modalities
        pixels = pixels_of(cohort, name, READ, USUAL).fit(cohort.raw(name))
        design = self.design(tuple(target.names), pixels.channels, pixels.size)
        quantiser = taught_quantiser(
            design.quantiser, pictures(cohort, name, pixels), steps=self.quantiser_steps, batch=self.batch,
            seed=seeded(training.seed, "quantiser"),
        )  # fmt: skip
        tokens = {name: codes_of(cohort, name, pixels, quantiser)}
        held_out = holdout(cohort, VALIDATION, seed=training.seed)
        value = torch.from_numpy(outcome.value).float()
        examples = Examples(
            tokens, presence(tokens, [name]), TargetTensors(value, torch.zeros(len(value), dtype=torch.bool)), held_out
        )
        fusion = build(lambda: design.fusion(name), seeded(training.seed, "fusion"))
        network = Network(fusion, Head(0, len(target.names), target.kind))
        (history,) = train(
            network, examples, (Phase(self.training_options, BothOrders()),), seed=training.seed,
            checkpoint=training.file(self.id), device=training.device,
        )  # fmt: skip
        link = predict_link(network, tokens, examples.present)
        rows = np.flatnonzero(held_out) if held_out.any() else np.arange(len(held_out))
        response = Response.fit(
            target, link[rows], outcome.take(rows), calibrate=bool(held_out.any()), held_to_one=HELD_TO_ONE
        )
        without = prior_link(target, outcome, len(target.names)) / max(response.slope, 1e-6)
        predictor = EarlyFusionPredictor(
            name, pixels, design, state_of(quantiser), state_of(network), without, target.kind,
            parameter_count(network) + parameter_count(build(design.quantiser.build, 0)), history.best_epoch,
        )  # fmt: skip
        return predictor, response


def pictures(cohort: Cohort, modality: str, pixels: ImagePixels) -> Tensor:
    """Return the images of patients who all have one, `(n, C, size, size)`, standardised."""
    packed = pack(cohort, {modality: pixels})[modality]
    return pixels.images(packed.take(np.arange(len(cohort))).values)


def codes_of(cohort: Cohort, modality: str, pixels: ImagePixels, quantiser: Quantiser) -> PackedTokens:
    """Return the codes of the images of patients who all have one, `places` tokens of one number."""
    packed, parts = pack(cohort, {modality: pixels})[modality], list[np.ndarray]()
    with torch.no_grad():
        for start in range(0, len(cohort), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(cohort)))
            found = quantiser.encode(pixels.images(packed.take(rows).values))
            parts += list(found.float().numpy()[..., None])
    places = quantiser.design.side**2
    return PackedTokens.scatter(parts, np.arange(len(cohort)), len(cohort), 1, places)
