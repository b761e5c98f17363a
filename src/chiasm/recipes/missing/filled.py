"""`filled`: another recipe, whose patients get what they lack from a generator of the training patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import LEAST_PATIENTS, BaseRecipe, Training, trainable
from chiasm.fitting.model import FittedModel
from chiasm.fitting.row import Row
from chiasm.fitting.wrapping import Wrapping
from chiasm.generation.catalogue import GENERATORS, make_generator
from chiasm.generation.copula import FittedCopula, GaussianCopula
from chiasm.generation.filling import filled_in, lacking
from chiasm.generation.generator import MayBePrivate
from chiasm.generation.mixed_diffusion import FittedMixedDiffusion, MixedDiffusion
from chiasm.generation.rows import drawable, inputs_of
from chiasm.heads.response import Response
from chiasm.protocols import Predictor, borrows
from chiasm.recipes.missing import ROWS
from chiasm.specs import nested_spec


@storable("filled-in")
@dataclass(frozen=True)
class FilledIn(Wrapping):
    """A predictor that sees patients with what they lack filled in.

    Args:
        predictor: the model of filled patients.
        generator: says what is expected of a modality given the others; None: there was nothing to learn that from.
        kinds: modality that the generator knows to its kind.
        columns: the same to its columns, in the order of the fit.
        fills: modalities that are filled in.
    """

    predictor: Predictor
    generator: FittedCopula | FittedMixedDiffusion | None
    kinds: dict[str, str]
    columns: dict[str, tuple[str, ...]]
    fills: tuple[str, ...]

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        if self.generator is not None:
            cohort = filled_in(cohort, self.generator, self.kinds, self.columns, self.fills)
        return self.predictor.link(cohort)


@dataclass(frozen=True)
class Filled(BaseRecipe):
    """Fill in the tables and omics blocks that a patient lacks, then fit a recipe; predicting fills in likewise.

    A generator of the modalities, a Gaussian copula unless named, is fitted without the outcome to the training
    patients of each fit; what a patient lacks is the median given what he has. A trial compares it with the same
    recipe, for which absent is absent.

    Args:
        recipe: the recipe that is fitted, its options after semicolons: `lora;rank=4;epochs=20`.
        modality: the modality that is filled in; "": every table and omics block.
        factors: of each wide block in the generator; 0: those that stand out of the noise, or as `generator` says.
        generator: of tables, its options after semicolons: `mixed-diffusion;updates=500`.
    """

    recipe: str = "late-fusion"
    modality: str = ""
    factors: int = 0
    generator: str = "gaussian-copula"

    row: ClassVar[Row] = ROWS["filled"]

    def __post_init__(self) -> None:
        if self.factors < 0:
            raise ValueError("factors are 0, as many as stand out of the noise, or more")
        _ = self.inner, self.fills  # a recipe that it cannot fit, or a generator that cannot fill, is refused here

    @property
    def inner(self) -> BaseRecipe:
        """The recipe that is fitted to filled patients."""
        from chiasm.recipes.registry import make_recipe

        made = make_recipe(nested_spec(self.recipe))
        if not isinstance(made, BaseRecipe) or made.id == self.id:
            raise ValueError("filled fits another recipe of chiasm: late-fusion or healnet, say")
        return made

    @property
    def fills(self) -> GaussianCopula | MixedDiffusion:
        """The generator of what patients lack."""
        made = make_generator(nested_spec(self.generator), GENERATORS)
        if not isinstance(made, GaussianCopula | MixedDiffusion):
            raise ValueError(f"generator '{made.name}' draws whole patients alone: nothing is filled in by it")
        if isinstance(made, MayBePrivate) and made.epsilon:
            raise ValueError("what is filled in stands beside real values, which no epsilon hides: leave it away")
        return replace(made, factors=self.factors) if self.factors else made

    @property
    def against(self) -> str:
        """The recipe that it is always compared with: the same one without filling."""
        return self.inner.name

    @property
    def borrows(self) -> bool:
        """True if the inner recipe reads the sources of a cohort."""
        return borrows(self.inner)

    @property
    def reads_inputs(self) -> bool:
        """True if the inner recipe needs encoder inputs."""
        return self.inner.reads_inputs

    @property
    def reads_presence(self) -> bool:
        """True if the inner recipe may learn from which modalities a patient has."""
        return self.inner.reads_presence

    @property
    def settings(self) -> int:
        """Number of settings that the inner recipe tries."""
        return self.inner.settings

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the one-modality forms of the inner recipe, in which nothing is filled in."""
        return self.inner.alone(cohort)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if nothing can be filled in, or the inner recipe raises it."""
        names = drawable(cohort)
        if self.modality and self.modality not in names:
            raise Unsupported(
                f"only tables and omics blocks are filled in, and '{self.modality}' is none of them: there are "
                f"{', '.join(names) or 'none'}"
            )
        if len(names) < 2:
            raise Unsupported(
                f"one table or omics block is filled in from another, and the cohort has {len(names)}: add a "
                "modality, or fit the recipe itself"
            )
        who = lacking(cohort, names, [self.modality] if self.modality else names)
        if not any(own.any() for own in who.values()):
            raise Unsupported("nobody lacks a modality that could be filled in from another: fit the recipe itself")
        self.inner.supports(cohort)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit the generator to the usable training patients, then the inner recipe to the same, filled in."""
        whole = trainable(cohort, seed, checkpoint, device)
        usable = whole.cohort
        names = drawable(usable)
        together = usable.present[:, [usable.modalities.index(name) for name in names]].sum(1) > 1
        fills = tuple(name for name in names if self.modality in ("", name))
        kinds = {name: usable.kinds[name] for name in names}
        columns = {name: tuple(map(str, usable.raw(name).columns)) for name in names}
        known, generator = cohort.with_modalities(usable.modalities), None
        if int(together.sum()) >= LEAST_PATIENTS:
            generator = self.fills.fit(inputs_of(usable, names))
            known = filled_in(known, generator, kinds, columns, fills)
        model = self.inner.fit(known, seed=seed, checkpoint=checkpoint, device=device)
        return replace(
            model,
            recipe=self.name,
            predictor=FilledIn(model.predictor, generator, kinds, columns, fills),
            modalities={name: cohort.kinds[name] for name in usable.modalities},
            encodings={name: own for name, own in cohort.encodings.items() if name in usable.modalities},
            scarce=tuple(name for name in cohort.modalities if name not in usable.modalities),
            patterns=tuple(name for name in usable.patterns()[0].tolist() if name),
        )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Learn as the inner recipe does."""
        return self.inner.learn(training)
