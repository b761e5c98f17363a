"""Protocols of the main components: encoders, fusions, recipes, models and predictors.

Shape letters: B patients, M modalities, T tokens, D width, L latents, K classes or time bins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from torch import Tensor

from chiasm.citation import Citation
from chiasm.errors import Problem
from chiasm.tokens import Tokens


@runtime_checkable
class Encoder(Protocol):
    """Protocol of an encoder, which maps raw values of one modality to tokens.

    `slots` is the fixed number of tokens, each with its own meaning (a column, a gene set); 0 means a bag of any number
    of exchangeable tokens. `fitted_on_cohort` False: frozen, run once and stored; True: fitted inside each fold.
    """

    @property
    def width(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def fitted_on_cohort(self) -> bool: ...

    def fit(self, raw: Any, patients: Sequence[str]) -> Self: ...

    def encode(self, raw: Any) -> Tokens: ...


EMBEDDING = "embedding"
"""The extra of a fusion whose `embedding` is already the link: `(B, D)`, what patients are compared by."""


@dataclass(frozen=True)
class Fused:
    """The output of a fusion.

    Args:
        embedding: `(B, D)`.
        latents: each modality's latents, `(B, L, D)`, if the fusion has them.
        losses: scalar terms that the objective adds to its own.
        extras: whatever else an objective or a hook reads, by name.
    """

    embedding: Tensor
    latents: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    extras: dict[str, Tensor] = field(default_factory=dict)


class Fusion(Protocol):
    """Protocol of a fusion: tokens of the present modalities to one embedding; `present` `(B, M)` bool, by name."""

    def __call__(self, tokens: dict[str, Tokens], present: Tensor) -> Fused: ...


@runtime_checkable
class Model(Protocol):
    """Protocol of a fitted recipe; `predict` needs no target and returns one row per patient, in the cohort's order."""

    @property
    def trained_parameters(self) -> int: ...

    def predict(self, cohort: Any) -> pd.DataFrame: ...

    def save(self, path: Path | str) -> None: ...


@runtime_checkable
class Recipe(Protocol):
    """Protocol of a recipe, a published system or a baseline; its options are the fields of a frozen dataclass.

    These members are all that is needed. What a recipe may declare beyond them is one protocol each, below, with what
    is assumed of a recipe that does not declare it: `NamesModalities`, `NamesReads`, `NamesForms`, `ReadsPresence`,
    `ReadsUnlabelled`, `ReadsKnowledge`, `SelectsSettings`, `CountsSettings`, `Borrows`, `NamesAgainst`,
    `BringsAgainst`, `ReadsInputs`, `DescribesOptions`, `NamesFiles`.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def paper(self) -> Citation: ...

    def supports(self, cohort: Any) -> None:
        """Check that the recipe can be fitted on a cohort; raise `Unsupported` with what is missing and what to do."""

    def fit(self, cohort: Any, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> Model: ...


@runtime_checkable
class SupportsTarget(Protocol):
    """Protocol of a recipe that says of a target alone, before anything is encoded, that it cannot learn it."""

    def supports_target(self, target: Any) -> None: ...


class Predictor(Protocol):
    """Protocol of a model's fitted part: link-scale predictions `(B, K)` float64, in the cohort's sorted row order."""

    @property
    def trained_parameters(self) -> int: ...

    def link(self, cohort: Any) -> np.ndarray: ...


@runtime_checkable
class Writes(Protocol):
    """Protocol of a predictor whose answer is words of its own; `longest` is 0 where it has a link after all."""

    @property
    def longest(self) -> int: ...

    def written(self, cohort: Any) -> list[str]: ...


Names = Collection[str] | Callable[[Any], Collection[str]]
"""Names of modalities, or a function of the cohort that returns them."""


@runtime_checkable
class NamesModalities(Protocol):
    """Protocol of a recipe, or a model, that names the modalities it uses; one that does not uses all of a cohort's."""

    @property
    def modalities(self) -> Names: ...


def modalities_of(model: object) -> set[str]:
    """Return the modalities that a fitted model says it uses; none if it says nothing."""
    named = model.modalities if isinstance(model, NamesModalities) else ()
    return set() if callable(named) else set(named)


@runtime_checkable
class NamesReads(Protocol):
    """Protocol of a recipe whose side of the verdict is not that of its `modalities`: `reads` decides instead."""

    @property
    def reads(self) -> Names: ...


@runtime_checkable
class NamesForms(Protocol):
    """Protocol of a recipe that names its one-modality forms, each the same recipe with the same budget.

    A recipe that does not gets a form per modality, made by the trial: the recipe on the patients who have it.
    """

    def alone(self, cohort: Any) -> Sequence[str]: ...


@runtime_checkable
class Narrows(Protocol):
    """Protocol of a recipe whose options name modalities: `on` gives the same recipe for one of them alone."""

    def on(self, modality: str) -> Recipe: ...


@runtime_checkable
class ReadsPresence(Protocol):
    """Protocol of a recipe that says whether a prediction may depend on which modalities a patient has.

    It does beyond their content in a network, a kernel with placeholders, trees that use missing values of a whole
    modality, or with indicators. A recipe that says nothing is taken as one that may.
    """

    @property
    def reads_presence(self) -> bool: ...


@runtime_checkable
class ReadsUnlabelled(Protocol):
    """Protocol of a recipe that says whether it learns from patients without a known outcome; else taken as one not to.

    A trial then hands it those on the training side of each fold beside its training patients; they are never scored.
    """

    @property
    def reads_unlabelled(self) -> bool: ...


@runtime_checkable
class ReadsKnowledge(Protocol):
    """Protocol of a recipe that says whether it reads what is known of the patients' things; else taken as one not to.

    Its one-modality forms then read it too: what is gained by knowledge is no gain of combining.
    """

    @property
    def reads_knowledge(self) -> bool: ...


@runtime_checkable
class ReadsLabelTexts(Protocol):
    """Protocol of a recipe that says whether it reads what is written of labels, as `ReadsKnowledge` of things."""

    @property
    def reads_label_texts(self) -> bool: ...


@runtime_checkable
class SelectsSettings(Protocol):
    """Protocol of a recipe with inner selection: the number of settings it tries, else taken as 1.

    These are penalties, widths, rounds of trees; for each modality if it selects for each.
    """

    @property
    def settings(self) -> int: ...


@runtime_checkable
class CountsSettings(Protocol):
    """Protocol of a recipe whose number of settings depends on the cohort, as on the sources that it borrows from."""

    def settings_on(self, cohort: Any) -> int: ...


@runtime_checkable
class Borrows(Protocol):
    """Protocol of a recipe that says whether it reads the sources of a cohort.

    One that does not say it is taken to read them if it has `against` (`NamesAgainst`).
    """

    @property
    def borrows(self) -> bool: ...


def borrows(recipe: object) -> bool:
    """True if a recipe reads the sources of a cohort, so that those of its manifest are opened."""
    return recipe.borrows if isinstance(recipe, Borrows) else isinstance(recipe, NamesAgainst)


@runtime_checkable
class ToldStart(Protocol):
    """Protocol of a fitted model that may have begun with a source's weights.

    `start` is "source" where it kept them, "fresh" where it did not, "untried" where no source could be tried, and
    empty where it had nothing to choose.
    """

    @property
    def start(self) -> str: ...


@runtime_checkable
class NamesAgainst(Protocol):
    """Protocol of a recipe that names another one with which a trial always compares it; empty: none.

    The other is then part of the trial, and the pair is judged as if it had been named in `contrasts`.
    """

    @property
    def name(self) -> str: ...

    @property
    def against(self) -> str: ...


@runtime_checkable
class BringsAgainst(Protocol):
    """Protocol of a recipe that brings the recipe that `against` names, as where no catalogue has it."""

    @property
    def compared_with(self) -> Any: ...


@runtime_checkable
class FindsOfCohort(Protocol):
    """Protocol of a recipe that finds something to be said of a cohort before a trial, as of weights that know it."""

    def findings(self, cohort: Any) -> list[Problem]: ...


@runtime_checkable
class ReadsInputs(Protocol):
    """Protocol of a recipe, model, predictor or encoder that says whether it runs an encoder's network."""

    @property
    def reads_inputs(self) -> bool: ...


def reads_inputs(part: object) -> bool:
    """True if a part runs an encoder's network, and so needs its inputs; one that says nothing reads tokens."""
    return isinstance(part, ReadsInputs) and bool(part.reads_inputs)


@runtime_checkable
class DescribesOptions(Protocol):
    """Protocol of a recipe that says itself what its options are, since they are not its fields."""

    @property
    def described_options(self) -> Mapping[str, Any]: ...


@runtime_checkable
class NamesFiles(Protocol):
    """Protocol of a recipe whose options name files or folders that a fit reads: what they hold is part of a trial."""

    @property
    def named_files(self) -> Sequence[str]: ...


@runtime_checkable
class TellsSearch(Protocol):
    """Protocol of what a search of options tried and picked."""

    @property
    def sentence(self) -> str: ...
    def as_json(self) -> dict[str, Any]: ...


@runtime_checkable
class ToldTuning(Protocol):
    """Protocol of a fitted model that tells of the search by which its options were picked; None: of none."""

    @property
    def tuning(self) -> TellsSearch | None: ...


def search_of(model: object) -> TellsSearch | None:
    """Return the search by which a model's options were picked; None where none was searched, or it says nothing."""
    found = model.tuning if isinstance(model, ToldTuning) else None
    return found if isinstance(found, TellsSearch) else None  # a model of others may call something else so


@runtime_checkable
class NamesId(Protocol):
    """Protocol of a part that has an id, by which it is named without its options."""

    @property
    def id(self) -> str: ...


@runtime_checkable
class HasRow(Protocol):
    """Protocol of a recipe of the catalogue, which knows its row there."""

    @property
    def row(self) -> Any: ...


@runtime_checkable
class ReadsOneGrid(Protocol):
    """Protocol of a model that says whether it reads the images of a patient place by place, as if they were one."""

    @property
    def reads_one_grid(self) -> bool: ...


@runtime_checkable
class NamesEncodings(Protocol):
    """Protocol of a model that knows how its modalities were encoded at its fit, and so have to be again."""

    @property
    def encodings(self) -> Mapping[str, Any]: ...


@runtime_checkable
class HasPrior(Protocol):
    """Protocol of a model that says whether a patient with none of its modalities gets a prior; else it refuses."""

    @property
    def has_prior(self) -> bool: ...


@runtime_checkable
class Embeds(Protocol):
    """Protocol of a predictor with an embedding of each patient, `(B, D)`; None if what it wraps has none."""

    @property
    def embedding(self) -> Callable[[Any], np.ndarray] | None: ...


@runtime_checkable
class HoldsFrozen(Protocol):
    """Protocol of a fusion that runs parameters which are not trained, and counts them."""

    @property
    def frozen_parameters(self) -> int: ...
