"""`gaussian-copula`: columns keep their own distributions, and a Gaussian of their normal scores ties them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.generation.gaussian import FactorGaussian
from chiasm.generation.lacks import PRESENT, assembled, who_has, with_lacking
from chiasm.generation.margins import Margins, without_few
from chiasm.generation.rows import OUTCOME, Rows

Array = NDArray[np.float64]
NARROW = 20


@storable("gaussian-copula")
@dataclass(frozen=True)
class FittedCopula:
    """A fitted copula over the outcome and all modalities.

    Args:
        margins: block to the distributions of its columns, with those of who lacks the block and which cells.
        columns: block to its own columns, in order.
        gaussian: the joint distribution of the scores.
        declared: columns of each block that are words although they look like numbers.
    """

    margins: dict[str, Margins]
    columns: dict[str, tuple[str, ...]]
    gaussian: FactorGaussian
    declared: dict[str, tuple[str, ...]]

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        widths = sum(map(len, self.columns.values()))
        return f"a Gaussian copula of {widths:,} columns, their distributions and correlations"

    def sample(self, n: int, seed: int, given: Rows | None = None) -> Rows:
        """Draw n patients, or what those given lack; see `generation.generator.Fitted`."""
        return self._made(n, given, np.random.default_rng(np.random.SeedSequence(seed)))

    def expected(self, given: Rows) -> Rows:
        """What is given, and for what is lacking the median of numbers and the middle level given it."""
        return self._made(len(given), given, None)

    def log_density(self, rows: Rows) -> Array:
        """`(n,)` log density of the normal scores of what a patient has."""
        narrow, wide = self._scores(rows, len(rows))
        return self.gaussian.log_density(narrow, wide)

    def _scores(self, given: Rows | None, n: int) -> tuple[Array, dict[str, Array]]:
        parts, wide = [], {}
        for name, own in self.margins.items():
            if given is None or (name != PRESENT and name not in given.blocks):
                scores = np.full((n, len(own.columns)), np.nan)
            elif name == PRESENT:
                scores = own.scores(who_has(given, own.columns))
            else:
                scores = own.scores(with_lacking(given.blocks[name], given.present[name], own.columns))
            if name in self.gaussian.loadings:
                wide[name] = scores / _spread(own)
            else:
                parts.append(scores)
        return np.concatenate([np.zeros((n, 0)), *parts], axis=1), wide

    def _made(self, n: int, given: Rows | None, rng: np.random.Generator | None) -> Rows:
        narrow, wide = self._scores(given, n)
        core = np.zeros((n, len(self.gaussian.correlation)))
        for found in self.gaussian.given(narrow, wide):
            core[found.rows] = found.mean if rng is None else self.gaussian.drawn(found, rng)
        values_of, at = {}, 0
        for name, own in self.margins.items():
            if name in self.gaussian.loadings:
                values_of[name] = own.values(self.gaussian.block(name, core, rng))
            else:
                values_of[name] = own.values(core[:, at : at + len(own.columns)])
                at += len(own.columns)
        return assembled(values_of, self.columns, self.declared, given)


@dataclass(frozen=True)
class GaussianCopula:
    """Gaussian copula over mixed columns.

    Every column becomes normal scores by its own distribution; words are ordered by the leading component of the
    numbers beside them, since one latent can order them only one way. Who lacks a modality, and which cells are
    missing, are columns of 0 and 1 among the others. A block of more columns than a tenth of the patients, and than
    20, stands on factors, so that there may be more columns than patients.

    Args:
        factors: of each wide block; 0: those that stand out of the noise.
    """

    factors: int = 0

    @property
    def name(self) -> str:
        return "gaussian-copula" if not self.factors else f"gaussian-copula:factors={self.factors}"

    def fit(self, rows: Rows) -> FittedCopula:
        """Fit to patients; no level of fewer than five is kept but those of the outcome, and of nobody his extreme."""
        frames = {name: with_lacking(own, rows.present[name]) for name, own in rows.blocks.items()}
        frames |= {
            name: without_few(own, list(rows.blocks[name].columns)) for name, own in frames.items() if name != OUTCOME
        }
        frames[PRESENT] = who_has(rows, tuple(name for name, own in rows.present.items() if not own.all()))
        order = leading(frames)
        margins = {name: Margins.fit(frame, ordered_words(frame, order)) for name, frame in frames.items()}
        widest = max(NARROW, len(rows) // 10)
        parts, variances, wide = [np.zeros((len(rows), 0))], [np.zeros(0)], {}
        for name, own in margins.items():
            scores = own.scores(frames[name])
            if len(own.columns) > widest and name not in (OUTCOME, PRESENT):
                wide[name] = scores / _spread(own)
            else:
                parts.append(scores)
                variances.append(own.variances)
        gaussian = FactorGaussian.fit(np.concatenate(parts, axis=1), np.concatenate(variances), wide, self.factors)
        columns = {name: tuple(map(str, own.columns)) for name, own in rows.blocks.items()}
        return FittedCopula(margins, columns, gaussian, dict(rows.declared))


def leading(frames: Mapping[str, pd.DataFrame]) -> Array:
    """`(n,)` first principal component of the ranks of all numbers, blocks of equal weight."""
    parts = []
    for frame in frames.values():
        numbers = frame.select_dtypes(exclude="object")
        if numbers.shape[1]:
            ranks = numbers.rank(pct=True).sub(0.5).fillna(0.0).to_numpy()
            parts.append(ranks / np.sqrt(ranks.shape[1]))
    if not parts:
        return np.zeros(len(next(iter(frames.values()))))
    whole = np.concatenate(parts, axis=1)
    gram = whole @ whole.T
    return np.asarray(np.linalg.eigh(gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean())[1][:, -1])


def ordered_words(frame: pd.DataFrame, order: Array) -> dict[str, list[str]]:
    """Levels of each column of words, ordered by the mean of `order` among those who have them."""
    found = {}
    for name in frame.columns:
        if frame[name].dtype == object:
            means = pd.Series(order).groupby(frame[name].to_numpy(), dropna=True).mean()
            found[str(name)] = [str(level) for level in sorted(means.index, key=lambda own: (means[own], str(own)))]
    return found


def _spread(margins: Margins) -> Array:
    """`(F,)` standard deviation of the scores of each column, 1 for a constant one."""
    spread = np.sqrt(margins.variances)
    return np.where(spread > 1e-6, spread, 1.0)
