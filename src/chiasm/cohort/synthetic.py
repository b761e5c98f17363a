"""Synthetic cohorts with known answers: the right verdict about each follows from how it is generated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.targets import KINDS as TARGETS

SIGNAL_COLUMNS = 8
NOISE_COLUMNS = 8

Array = NDArray[np.float64]
Drawn = tuple[Array, Array, Array]  # m1 (n, 16), m2 (n, 16), signal (n,)


def synthetic_cohort(
    name: str, n: int = 2000, *, target: str = "classification", seed: int = 0, missing: float = 0.0
) -> Cohort:
    """Generate `n` patients with modalities `m1` and `m2`, each with 8 columns that may carry signal and 8 of noise.

    With s the signal that `name` defines (see its function below) and e, u independent draws:
    classification  y ~ Bernoulli(1 / (1 + exp(-s))), for `xor` y = [s > 0];
    survival        months = -30 log(u) exp(-s / 2), censored at an independent exponential time for 35 %;
    competing       hazards a month of `cancer` exp(s / 2) / 30 and of `other` exp(-s / 4) / 60, censored as above;
    regression      y = s + e, e ~ N(0, 1);
    multilabel      `label` as above, and `rarer` ~ Bernoulli(1 / (1 + exp(1 - s))).
    `missing` removes that fraction of the rows of each modality at random, never both from one patient.
    Raises ValueError for an unknown name or target, n < 8, or missing > 0.5.
    """
    if name not in SYNTHETIC_COHORTS:
        raise ValueError(f"no synthetic cohort '{name}': there are {', '.join(SYNTHETIC_COHORTS)}")
    if target not in TARGETS:
        raise ValueError(f"no target '{target}': there are {', '.join(TARGETS)}")
    if n < 8:
        raise ValueError(f"a synthetic cohort needs 8 patients or more, not {n}")
    fraction = 0.3 if name == "missing-at-random" and missing == 0 else missing
    if not 0 <= fraction <= 0.5:
        raise ValueError("missing lies between 0 and 0.5: every patient keeps one modality")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    m1, m2, signal = SYNTHETIC_COHORTS[name](n, rng)
    noise = rng.normal(size=n)
    patients, asked, copied = TARGETS[target].drawn(signal, noise, rng, certain=name == "xor")
    if name == "planted-leak":
        m2[:, 0] = copied
    ids = pd.Index([f"p{i:0{len(str(n))}d}" for i in range(n)], dtype=object)
    frames = {
        modality: pd.DataFrame(values, index=ids, columns=[f"{modality}_{k}" for k in range(values.shape[1])])
        for modality, values in (("m1", m1), ("m2", m2))
    }
    shuffled, taken = rng.permutation(n), round(fraction * n)
    without = {"m1": shuffled[:taken], "m2": shuffled[taken : 2 * taken]}
    frames = {modality: frame.drop(index=ids[without[modality]]) for modality, frame in frames.items()}
    return cohort_from_frames(patients.set_axis(ids, axis=0), frames, asked, name=name)


def _carry(x: Array, rng: np.random.Generator) -> Array:
    """Expand x (n,) to (n, 16): columns 0-7 are x + N(0, 1), whose mean recovers x to .35; 8-15 are N(0, 1)."""
    carried = x[:, None] + rng.normal(size=(len(x), SIGNAL_COLUMNS))
    return np.concatenate([carried, rng.normal(size=(len(x), NOISE_COLUMNS))], axis=1)


def redundant(n: int, rng: np.random.Generator) -> Drawn:
    """Redundant m2: x ~ N(0, 1) in m1; m2 = m1 + N(0, 1); s = 2 x. Given m1, m2 says nothing about y: Y ⟂ m2 | m1."""
    x = rng.normal(size=n)
    m1 = _carry(x, rng)
    return m1, m1 + rng.normal(size=m1.shape), 2 * x


def unique(n: int, rng: np.random.Generator) -> Drawn:
    """Signal in m1 alone: x ~ N(0, 1), s = 2 x; m2 carries its own z ~ N(0, 1): correlated columns, but Y ⟂ m2."""
    x, background = rng.normal(size=n), rng.normal(size=n)
    return _carry(x, rng), _carry(background, rng), 2 * x


def complementary(n: int, rng: np.random.Generator) -> Drawn:
    """Complementary x1 in m1 and x2 in m2, independent N(0, 1); s = 2 (x1 + x2).

    AUROC is about .75 from either, about .87 from both.
    """
    x1, x2 = rng.normal(size=n), rng.normal(size=n)
    return _carry(x1, rng), _carry(x2, rng), 2 * (x1 + x2)


def xor(n: int, rng: np.random.Generator) -> Drawn:
    """Pure interaction: bits b1, b2 = ±1, each of the four pairs n / 4 times; s = 3 b1 b2.

    Columns 0-7 of m_i are 2 b_i + N(0, 1). y is independent of m1 and of m2, and of every sum f(m1) + g(m2); together
    they determine it.
    """
    quadrant = rng.permutation(np.arange(n) % 4)
    b1, b2 = np.where(quadrant < 2, 1.0, -1.0), np.where(quadrant % 2 == 0, 1.0, -1.0)
    return _carry(2 * b1, rng), _carry(2 * b2, rng), 3 * b1 * b2


def noise_modality(n: int, rng: np.random.Generator) -> Drawn:
    """Noise in m2: x ~ N(0, 1) in m1, s = 2 x; m2 is N(0, 1) in every column."""
    x = rng.normal(size=n)
    return _carry(x, rng), rng.normal(size=(n, SIGNAL_COLUMNS + NOISE_COLUMNS)), 2 * x


SYNTHETIC_COHORTS: dict[str, Callable[[int, np.random.Generator], Drawn]] = {
    "redundant": redundant,
    "unique": unique,
    "complementary": complementary,
    "xor": xor,
    "noise-modality": noise_modality,
    "missing-at-random": complementary,  # with 30 % of the rows of each modality taken away at random
    "planted-leak": unique,  # with a column of m2 that copies the outcome
}
