"""Labels: a logit for each, and the binary cross entropy over those known."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.special import expit  # type: ignore[import-untyped]
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind, common_level
from chiasm.targets import Multilabel, Outcome


class LabelHead(HeadKind):
    """Logits of labels."""

    has_logits: ClassVar[bool] = True
    has_names: ClassVar[bool] = True

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return masked_cross_entropy(output, value, event)

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        """Mean binary cross entropy over the known labels of each patient; NaN where none is known."""
        known = ~torch.isnan(value)
        cells = nn.functional.binary_cross_entropy_with_logits(output, value.nan_to_num(), reduction="none")
        return torch.where(known, cells, 0.0).sum(1) / known.sum(1)

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        return pd.DataFrame(expit(link), columns=Multilabel.answers(response.classes))

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The mean probability of each label becomes its frequency among the patients for whom it is known."""
        columns = []
        for own, label in zip(link.T, np.asarray(outcome.value, np.float64).T, strict=True):
            rows = ~np.isnan(label)
            count = np.array([np.clip(np.nansum(label), 0.5, max(rows.sum() - 0.5, 0.5))])
            columns.append(common_level(_sigmoid, own[rows][:, None], count) if rows.any() else np.zeros(1))
        return np.concatenate(columns)


def masked_cross_entropy(output: Tensor, value: Tensor, event: Tensor) -> Tensor:
    """Mean binary cross entropy over the known cells of `value` `(B, K)`, which is NaN where a label is missing."""
    known = ~torch.isnan(value)
    if not bool(known.any()):
        return (output * 0.0).sum()
    return nn.functional.binary_cross_entropy_with_logits(output[known], value[known])


def _sigmoid(link: Array, axis: int) -> Array:
    return np.asarray(expit(link))
