"""The contract of a generator: fitted to patients, it draws others, or what a patient lacks given what is there."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from chiasm.generation.rows import Rows


class Fitted(Protocol):
    """A fitted generator, which keeps parameters of the patients that it was fitted to and none of their rows."""

    def sample(self, n: int, seed: int, given: Rows | None = None) -> Rows:
        """Draw n patients, values in the units and categories of the fit, and missing where patients lacked them.

        Args:
            given: n patients, what of whom is present stays as it is and is conditioned on; the rest is drawn, and
                nothing of it is missing. None: whole patients are drawn.
        """


class Generator(Protocol):
    """A generator with its options, before it has seen a patient."""

    @property
    def name(self) -> str: ...

    def fit(self, rows: Rows) -> Fitted: ...


@runtime_checkable
class Expects(Protocol):
    """A fitted generator that also says what is expected of what a patient lacks, without a draw."""

    def expected(self, given: Rows) -> Rows: ...


@runtime_checkable
class HasDensity(Protocol):
    """A fitted generator that says how likely it finds a patient: `(n,)` log densities, up to a constant."""

    def log_density(self, rows: Rows) -> np.ndarray: ...


@runtime_checkable
class MayBePrivate(Protocol):
    """A generator that can be fitted under differential privacy, so that no one patient changes much of it."""

    @property
    def epsilon(self) -> float:
        """Of differential privacy; 0 is without."""
        ...

    def private(self, epsilon: float) -> Generator: ...
