"""A Gaussian of many variables of which some are narrow and some stand in wide blocks, each block upon few factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]
from sklearn.covariance import ledoit_wolf_shrinkage  # type: ignore[import-untyped]

from chiasm.artifact import storable

Array = NDArray[np.float64]
LEAST_NOISE = 0.05  # of the variance 1 of a variable in a wide block
LEAST_EIGENVALUE = 1e-3
MOST_CORRELATED = 0.98
MOST_FACTORS = 32
PATIENTS_A_FACTOR = 5


class Given(NamedTuple):
    """Patients of whom the same is known: their rows, and mean `(n, Q)` and covariance `(Q, Q)` of the core."""

    rows: NDArray[np.int_]
    mean: Array
    covariance: Array


@storable("factor-gaussian")
@dataclass(frozen=True)
class FactorGaussian:
    """`g ~ N(0, R)`, of which the first D are variables themselves; in a wide block `z = L s + e`, s a part of g.

    Args:
        correlation: `(Q, Q)`, R: D narrow variables, then the factors of each wide block.
        loadings: wide block to L, `(F, K)`.
        noise: wide block to the variance `(F,)` of e.
        starts: wide block to the place of its first factor in g.
        narrow: D.
    """

    correlation: np.ndarray
    loadings: dict[str, np.ndarray]
    noise: dict[str, np.ndarray]
    starts: dict[str, int]
    narrow: int

    @classmethod
    def fit(cls, narrow: Array, variances: Array, wide: Mapping[str, Array], factors: int = 0) -> FactorGaussian:
        """Fit to n patients, NaN where a variable is not known.

        With x the scores and v their variance, the correlation of a and b is `cov(x_a, x_b) / (v_a v_b)` over the
        patients who have both, which is exact where one of them is continuous, and else to the second order; the matrix
        is shrunk to the identity by Ledoit and Wolf's intensity, and made positive definite. The factors of a wide
        block are those of probabilistic principal components.

        Args:
            narrow: `(n, D)` normal scores.
            variances: `(D,)` variance of each, below 1 where a column has few levels.
            wide: block to its scores `(n, F)`.
            factors: of each wide block; 0: as many as stand out of the noise (Marchenko and Pastur's edge).
        """
        loadings, noise, starts, parts, scale = {}, {}, {}, [narrow], [variances]
        at = narrow.shape[1]
        for name in sorted(wide):
            loadings[name], noise[name], scores = factors_of(wide[name], factors)
            starts[name] = at
            at += loadings[name].shape[1]
            parts.append(scores)
            scale.append(np.ones(scores.shape[1]))
        whole = np.concatenate(parts, axis=1)
        correlation = _correlation(whole, np.concatenate(scale))
        for name, start in starts.items():  # principal components are uncorrelated by construction
            own = slice(start, start + loadings[name].shape[1])
            correlation[own, own] = np.eye(loadings[name].shape[1])
        return cls(_sound(_shrunk(correlation, whole)), loadings, noise, starts, narrow.shape[1])

    def given(self, narrow: Array, wide: Mapping[str, Array]) -> Iterator[Given]:
        """Mean and covariance of g given what is known of each patient; exact, for each pattern of what is known.

        A block adds `L' N^-1 L` to the precision of its factors and `L' N^-1 z` to what it says of them, over the
        variables known; then the narrow variables known are conditioned on.
        """
        known = [~np.isnan(narrow), *(~np.isnan(wide[name]) for name in sorted(self.loadings) if name in wide)]
        packed = np.packbits(np.concatenate(known, axis=1), axis=1)
        _, first, group = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        prior = linalg.inv(self.correlation)
        for number, example in enumerate(first.tolist()):
            rows = np.flatnonzero(group == number)
            precision, said = prior.copy(), np.zeros((len(rows), len(prior)))
            for name in sorted(self.loadings):
                if name not in wide or not (some := ~np.isnan(wide[name][example])).any():
                    continue
                weighed = self.loadings[name][some] / self.noise[name][some, None]
                own = slice(self.starts[name], self.starts[name] + weighed.shape[1])
                precision[own, own] += self.loadings[name][some].T @ weighed
                said[:, own] += wide[name][np.ix_(rows, np.flatnonzero(some))] @ weighed
            covariance = linalg.inv(precision)
            mean = said @ covariance
            here = np.flatnonzero(~np.isnan(narrow[example]))
            if len(here):
                gain = linalg.solve(covariance[np.ix_(here, here)], covariance[here], assume_a="pos").T  # (Q, H)
                mean = mean + (narrow[np.ix_(rows, here)] - mean[:, here]) @ gain.T
                covariance = covariance - gain @ covariance[here]
            yield Given(rows, mean, covariance)

    def drawn(self, found: Given, rng: np.random.Generator) -> Array:
        """Draw g `(n, Q)` of each of these patients."""
        values, vectors = linalg.eigh((found.covariance + found.covariance.T) / 2)
        root = vectors * np.sqrt(np.clip(values, 0, None))
        return np.asarray(found.mean + rng.normal(size=found.mean.shape) @ root.T)

    def block(self, name: str, core: Array, rng: np.random.Generator | None = None) -> Array:
        """Scores `(n, F)` of a wide block upon g `(n, Q)`, drawn, or expected where there is no `rng`."""
        load, start = self.loadings[name], self.starts[name]
        mean = core[:, start : start + load.shape[1]] @ load.T
        return np.asarray(mean if rng is None else mean + rng.normal(size=mean.shape) * np.sqrt(self.noise[name]))

    def log_density(self, narrow: Array, wide: Mapping[str, Array]) -> Array:
        """`(n,)` log density of what is known of each patient in the narrow variables and the blocks' best factors."""
        out = np.zeros(len(narrow))
        parts = [narrow]
        for name in sorted(self.loadings):
            own = wide.get(name)
            parts.append(np.full((len(narrow), self.loadings[name].shape[1]), np.nan) if own is None else
                         bartlett(own, self.loadings[name], self.noise[name]))  # fmt: skip
        core = np.concatenate(parts, axis=1)
        for row, some in enumerate(~np.isnan(core)):
            here = np.flatnonzero(some)
            if len(here):
                own = self.correlation[np.ix_(here, here)]
                x = core[row, here]
                out[row] = -0.5 * (x @ linalg.solve(own, x, assume_a="pos") + np.linalg.slogdet(own)[1])
        return out


def bartlett(scores: Array, loadings: Array, noise: Array) -> Array:
    """Factors `(n, K)` by weighted least squares, `(L' N^-1 L)^-1 L' N^-1 z`; NaN for who has nothing of the block."""
    has = ~np.isnan(scores).all(axis=1)
    weighed = loadings / noise[:, None]
    found = np.full((len(scores), loadings.shape[1]), np.nan)
    found[has] = linalg.solve(loadings.T @ weighed, (np.nan_to_num(scores[has]) @ weighed).T, assume_a="pos").T
    return found


def factors_of(scores: Array, factors: int) -> tuple[Array, Array, Array]:
    """Loadings `(F, K)`, noise `(F,)` and factors `(n, K)` of a block by probabilistic principal components."""
    has = ~np.isnan(scores).all(axis=1)
    z = np.nan_to_num(scores[has])
    n, width = z.shape
    _, sizes, axes = linalg.svd(z / np.sqrt(max(n, 1)), full_matrices=False)
    values = sizes**2
    edge = (1 + np.sqrt(width / max(n, 1))) ** 2
    most = max(1, min(MOST_FACTORS, n // PATIENTS_A_FACTOR, len(values) - 1))
    k = min(factors or max(1, int((values > edge).sum())), most)
    rest = float(values[k:].sum()) / max(1, width - k)
    strength = np.sqrt(np.clip(values[:k] - rest, 1e-6, None))
    loadings = axes[:k].T * strength  # (F, K)
    noise = np.clip(z.var(axis=0) - (loadings**2).sum(axis=1), LEAST_NOISE, None)
    return loadings, noise, bartlett(scores, loadings, noise)


def _correlation(scores: Array, variances: Array) -> Array:
    some = ~np.isnan(scores)
    filled = np.where(some, scores - np.nanmean(np.where(some.any(0), scores, 0.0), axis=0), 0.0)
    both = some.astype(float).T @ some.astype(float)
    covariance = filled.T @ filled / np.maximum(both, 1)
    weight = np.where(variances > LEAST_EIGENVALUE, variances, np.inf)
    found = np.clip(covariance / np.outer(weight, weight), -MOST_CORRELATED, MOST_CORRELATED)
    found[both < PATIENTS_A_FACTOR] = 0.0
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _shrunk(correlation: Array, scores: Array) -> Array:
    some = np.nan_to_num((scores - np.nanmean(scores, axis=0)) / np.maximum(np.nanstd(scores, axis=0), 1e-9))
    intensity = float(ledoit_wolf_shrinkage(some))
    return (1 - intensity) * correlation + intensity * np.eye(len(correlation))


def _sound(correlation: Array) -> Array:
    """The nearest correlations, by eigenvalues, that are positive definite."""
    values, vectors = linalg.eigh(correlation)
    made = (vectors * np.clip(values, LEAST_EIGENVALUE, None)) @ vectors.T
    scale = np.sqrt(np.diag(made))
    return np.asarray(made / np.outer(scale, scale))
