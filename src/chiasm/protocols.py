"""Protocols of the main components: encoders, fusions, recipes, models and predictors.

Shape letters: B patients, M modalities, T tokens, D width, L latents, K classes or time bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from torch import Tensor

from chiasm.citation import Citation
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


@dataclass(frozen=True)
class Fused:
    """The output of a fusion.

    Args:
        embedding: `(B, D)`.
        latents: each modality's latents, `(B, L, D)`, if the fusion has them.
        losses: scalar terms to add to the head's loss.
    """

    embedding: Tensor
    latents: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)


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

    Optional attributes, with the default that a trial assumes in their absence:

    - `modalities(cohort) -> tuple[str, ...]`: the modalities it uses. Default: all of the cohort's.
    - `alone(cohort) -> tuple[str, ...]`: the names of its single-modality forms, each the same recipe with the same
      budget. Default: none, as for a recipe that already uses only one.
    - `reads_presence: bool`: predictions may depend on which modalities a patient has, beyond their content (a network,
      a kernel with placeholders, trees that use missing values of a whole modality, indicators). Default: False.
    - `settings: int`: the number of settings its inner selection tries (penalties, widths, rounds of trees), for each
      modality if it selects for each. Default: 1.
    - `reads_inputs: bool`: runs an encoder's network and so needs the network's inputs. Default: False.
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


class Predictor(Protocol):
    """Protocol of a model's fitted part: link-scale predictions `(B, K)` float64, in the cohort's sorted row order."""

    @property
    def trained_parameters(self) -> int: ...

    def link(self, cohort: Any) -> np.ndarray: ...
