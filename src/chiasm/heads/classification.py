"""Classes: a logit for each, and the cross entropy."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import softmax  # type: ignore[import-untyped]
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind, common_level
from chiasm.targets import Classification, Outcome


class ClassHead(HeadKind):
    """Logits of classes."""

    has_logits: ClassVar[bool] = True
    has_names: ClassVar[bool] = True

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return cross_entropy(output, value, event)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return nn.functional.cross_entropy(output, value.long(), reduction="none")

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        return pd.DataFrame(softmax(link, axis=1), columns=Classification.answers(response.classes))

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The mean probability becomes the frequency, with half a patient for a class that nobody has."""
        rows = np.flatnonzero(outcome.known)
        seen = np.eye(link.shape[1])[outcome.value[rows].astype(int)]
        return common_level(softmax, link[rows], np.maximum(seen.sum(0), 0.5))


def cross_entropy(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean negative log probability of the true class; `value` holds class codes."""
    return nn.functional.cross_entropy(output, value.long())
