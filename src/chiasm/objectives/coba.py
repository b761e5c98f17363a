"""CoBa: task weights from how fast their validation losses fall, with a state that checkpoints can store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable

Floats = NDArray[np.float64]
LARGEST_RATIO = 1e12  # limit of a loss over the first one, so that slopes stay finite


@storable("coba-state", unknown=("first", "ratios", "slopes"))
@dataclass(frozen=True)
class CoBaState:
    """The state of CoBa, as stored in a checkpoint.

    Args:
        seen: number of validations so far.
        first: `(K,)` the first positive validation loss of each task, NaN before.
        ratios: `(K, n)` validation losses over `first`, the last `window` of them, NaN where a task had none.
        slopes: `(K, s)` the last `window` slopes of `ratios`.
        worst: `(t,)` the largest slope of all tasks, at every validation since the warm-up.
    """

    seen: int
    first: np.ndarray
    ratios: np.ndarray
    slopes: np.ndarray
    worst: np.ndarray


@dataclass(frozen=True)
class CoBa:
    """Task weights from how fast the tasks' validation losses fall.

    Source: Gong et al., EMNLP 2024, arXiv 2410.06741, section 3, and its published code, MFTCoder.
    `α_i(t)` is the least-squares slope of task i's loss ratio `L_i / L_i(first)` over the last N validations. Then
    `RCS_i = softmax_i(K α_i / Σ_i |α_i|)` (raises slow tasks), `ACS_i = softmax_i(-n α_i(t) / Σ_j |α_i(j)|)` over the
    task's last n <= N slopes (lowers a task whose loss turns upwards), with `α_max` the largest slope of all tasks
    `DF = min(1, t softmax_t(-τ t α_max(t) / Σ_s |α_max(s)|)_t)` over the t validations since the warm-up, and
    `w = DF RCS + (1 - DF) ACS`, mixed with the uniform weights so that none is below `floor`.

    Args:
        tasks: K.
        warmup: number of validations with uniform weights, which continue until every task has had two losses.
        window: N, at least 2.
        temperature: τ.
        floor: the smallest weight, None for `1 / (10 K)`.

    Deviations: the published code does not bound DF by 1 (beyond which a diverging task gains), applies another softmax
    to the weights, drops losses of 0, shifts the time of losses after a missing one, shortens the window of slopes by
    the warm-up, applies the floor with a jump, and starts over after a restart. Here, if all slopes are zero
    (`Σ|α| = 0`), the score is uniform, and a task without a loss keeps its last slope.
    """

    tasks: int
    warmup: int = 5
    window: int = 20
    temperature: float = 5.0
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.tasks < 1 or self.window < 2 or self.warmup < 0 or not self.temperature > 0:
            raise ValueError("CoBa needs a task, a window of 2 or more, a warm-up of 0 or more, a temperature above 0")
        if not 0 <= self._floor <= 1 / self.tasks:
            raise ValueError(f"the floor of {self.tasks} weights that sum to 1 lies between 0 and {1 / self.tasks:.3g}")

    @property
    def _floor(self) -> float:
        return 1 / (10 * self.tasks) if self.floor is None else self.floor

    def start(self) -> CoBaState:
        """Return the initial state, without validations."""
        none = np.zeros((self.tasks, 0))
        return CoBaState(0, np.full(self.tasks, np.nan), none, none, np.zeros(0))

    def after(self, state: CoBaState, losses: Floats) -> CoBaState:
        """Return the state after one more validation with `losses` `(K,)`, NaN for a task without labels.

        Raises:
            ValueError: the number of losses is wrong, or one is infinite or negative.
        """
        now = np.asarray(losses, np.float64)
        if now.shape != (self.tasks,) or np.isinf(now).any() or (now < 0).any():
            raise ValueError(f"CoBa takes {self.tasks} validation losses, each at least 0 and finite, or NaN for none")
        first = np.where(np.isnan(state.first) & (now > 0), now, state.first)
        with np.errstate(over="ignore"):
            ratio = np.minimum(now / first, LARGEST_RATIO)
        ratios = np.column_stack([state.ratios, ratio])[:, -self.window :]
        seen, slopes, worst = state.seen + 1, state.slopes, state.worst
        fitted = _slopes(ratios)
        if slopes.shape[1]:
            fitted = np.where(np.isnan(fitted), slopes[:, -1], fitted)
        if seen > self.warmup and not np.isnan(fitted).any():
            slopes = np.column_stack([slopes, fitted])[:, -self.window :]
            worst = np.append(worst, fitted.max())
        return CoBaState(seen, first, ratios, slopes, worst)

    def weights(self, state: CoBaState) -> Floats:
        """Compute the task weights, `(K,)` float64, which sum to 1; uniform until the warm-up is over."""
        uniform = np.full(self.tasks, 1 / self.tasks)
        if not state.slopes.shape[1]:
            return uniform
        now, share = state.slopes[:, -1], self.divergence_factor(state)
        relative = _softmax(self.tasks * _over(now, np.abs(now).sum()))
        absolute = _softmax(-state.slopes.shape[1] * _over(now, np.abs(state.slopes).sum(1)))
        mixed = share * relative + (1 - share) * absolute
        return np.asarray(self._floor + (1 - self.tasks * self._floor) * mixed)

    def divergence_factor(self, state: CoBaState) -> float:
        """Compute DF in [0, 1], the weight of comparing tasks with each other rather than each with its own past."""
        time = len(state.worst)
        if not time:
            return 1.0
        scores = _softmax(-self.temperature * time * _over(state.worst, np.abs(state.worst).sum()))
        return min(1.0, float(time * scores[-1]))


def _slopes(ratios: Floats) -> Floats:
    """Fit the least-squares slope of each row's known values against the column number; NaN for fewer than two."""
    known = ~np.isnan(ratios)
    number = np.maximum(known.sum(1, keepdims=True), 1)
    time = np.where(known, np.arange(ratios.shape[1]), 0.0)
    centred = np.where(known, time - time.sum(1, keepdims=True) / number, 0.0)
    values = np.where(known, ratios, 0.0)
    values = np.where(known, values - values.sum(1, keepdims=True) / number, 0.0)
    slope = _over((centred * values).sum(1), (centred**2).sum(1))
    return np.where(known.sum(1) > 1, slope, np.nan)


def _over(top: Floats, bottom: Floats | np.floating) -> Floats:
    """Compute `top / bottom`, 0 where `bottom` is 0."""
    return np.asarray(np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), 0.0))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())
