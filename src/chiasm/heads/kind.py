"""What a head and its response need to know of a kind of target: the loss of an output, and a link's prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.targets import Outcome, Target

Array = NDArray[np.float64]


class Calibrated(Protocol):
    """What the prediction of a calibrated link reads, of a `Response`."""

    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def times(self) -> tuple[float, ...]: ...
    @property
    def event_times(self) -> np.ndarray: ...
    @property
    def hazard(self) -> np.ndarray: ...
    @property
    def subdistribution(self) -> bool: ...
    @property
    def texts(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Baseline:
    """What a prediction needs beside the link: horizons, and `(E,)` event times with their cumulative hazard.

    The hazard is `(E,)`, or `(E, K)` for competing risks, a column for each cause.
    """

    times: tuple[float, ...] = ()
    event_times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    hazard: np.ndarray = field(default_factory=lambda: np.zeros(0))


class HeadKind(ABC):
    """Output of a kind of target.

    `has_logits`: links are logits, whose fixed point under a slope is zero, and which a constant shifts in the large.
    `is_relative`: a link says how a patient compares with others; links of different models have different origins.
    `has_names`: a link has a column for each class, label, cause or channel.
    `has_slope`: links are calibrated by one slope for all columns; False where each column has units of its own.
    """

    has_logits: ClassVar[bool] = False
    is_relative: ClassVar[bool] = False
    has_names: ClassVar[bool] = False
    has_slope: ClassVar[bool] = True

    @property
    def has_origins(self) -> bool:
        """True if each column of a link has an origin of its own: log hazards of several causes."""
        return self.is_relative and self.has_names

    @abstractmethod
    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Mean loss of outputs `(B, K)`, a finite scalar; `value` and `event` are as `target_tensors` gives them."""

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Loss of each patient, `(B,)`, of which `loss` is a mean; NaN for whom there is none.

        Here what `loss` says of each patient alone, which a kind that compares patients has to override.
        """
        rows = range(len(output))
        each = [self.loss(output[k : k + 1], value[k : k + 1], event[k : k + 1]) for k in rows]
        return torch.stack(each) if each else output.new_zeros(0)

    @abstractmethod
    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        """Convert calibrated links `(n, K)` to the columns of a prediction."""

    def written(self, words: Sequence[str]) -> pd.DataFrame:
        """Convert what a model wrote of each patient to the columns of a prediction; only a text is written."""
        raise ValueError("only a target of texts is answered in words")

    @abstractmethod
    def level(self, link: Array, outcome: Outcome) -> Array:
        """Common shift `(K,)` of all links `(n, K)`, n > 0, that makes their mean prediction what was observed."""

    def baseline(self, target: Target, link: Array, outcome: Outcome) -> Baseline:
        """Fit what a prediction needs beside the calibrated links `(n, K)` of patients of known outcome."""
        return Baseline()


def common_level(probability: Any, link: Array, count: Array) -> Array:
    """Solve `sum of probabilities = count` for `(K,)` by bounded Newton steps; for softmax the result sums to zero."""
    wanted = count / count.sum() * len(link) if len(count) > 1 else count
    level = np.zeros(link.shape[1])
    for _ in range(100):
        p = probability(link + level, axis=1)
        gap = p.sum(0) - wanted
        if np.abs(gap).max() < 1e-9 * len(link):
            break
        slope = np.diag(p.sum(0)) - p.T @ p if len(count) > 1 else np.diag((p * (1 - p)).sum(0))
        step = np.linalg.lstsq(slope + 1e-12 * np.eye(len(level)), gap, rcond=1e-10)[0]
        level = level - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
    return np.asarray(level - level.mean() if len(count) > 1 else level)
