"""The contracts between the parts.

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
    """Raw values of one modality to tokens.

    `slots` is the fixed number of tokens, each with a meaning of its own (a column, a gene set); 0 = a bag, whose
    tokens are exchangeable and of any number. `fitted_on_cohort` False: frozen, run once and stored; True: fitted
    inside each fold.
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
    """What a fusion gives.

    Args:
        embedding: `(B, D)`.
        latents: each modality's latents, `(B, L, D)`, where the fusion has them.
        losses: terms to add to the head's loss, scalars.
    """

    embedding: Tensor
    latents: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)


class Fusion(Protocol):
    """Tokens of the present modalities to one embedding; `present` is `(B, M)` bool, modalities sorted by name."""

    def __call__(self, tokens: dict[str, Tokens], present: Tensor) -> Fused: ...


@runtime_checkable
class Model(Protocol):
    """A fitted recipe. `predict` needs no target and answers one row a patient, in the cohort's row order."""

    @property
    def trained_parameters(self) -> int: ...

    def predict(self, cohort: Any) -> pd.DataFrame: ...

    def save(self, path: Path | str) -> None: ...


@runtime_checkable
class Recipe(Protocol):
    """A published system or a baseline; its options are the fields of a frozen dataclass.

    A recipe may say more of itself, by attributes that a trial asks for and takes the default where there is none:

    - `modalities(cohort) -> tuple[str, ...]`: those that it reads; all of the cohort's.
    - `alone(cohort) -> tuple[str, ...]`: the names of its one-modality forms, each the same recipe with the same budget
      that reads one alone; none, as where it reads one already.
    - `reads_presence: bool`: a prediction may depend on which modalities a patient has, beyond what those he has say
      (a network, a kernel with placeholders, trees that read missing values of a whole modality, indicators); False.
    - `settings: int`: how many settings its inner selection tries (penalties, widths, rounds of trees), for each
      modality where it chooses for each; 1.
    - `by_default: bool`: a trial that names no recipe tries it; False for a third party's.
    - `reads_inputs: bool`: it runs an encoder's network, and so needs what that reads; False.
    """

    @property
    def name(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def paper(self) -> Citation: ...

    def supports(self, cohort: Any) -> None:
        """Raise `Unsupported` that says what is missing and what to do."""

    def fit(self, cohort: Any, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> Model: ...


class Predictor(Protocol):
    """The fitted part inside a model: link-scale predictions `(B, K)` float64 of a cohort, in its sorted row order."""

    @property
    def trained_parameters(self) -> int: ...

    def link(self, cohort: Any) -> np.ndarray: ...
