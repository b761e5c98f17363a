"""A choice: a point in the space of the options' features, and the cross entropy over each patient's own options."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from chiasm.heads.kind import Array, Calibrated, HeadKind
from chiasm.linear.offered import Offered, cross_validated_shift
from chiasm.targets import Choice, Outcome
from chiasm.targets.choice import chosen_frame


class ChoiceHead(HeadKind):
    """Dot products of the output `(B, E)` with the features of a patient's own options `(B, K, E)`.

    The options stand where other kinds have their events, NaN where a patient has fewer.
    """

    has_logits: ClassVar[bool] = True
    has_names: ClassVar[bool] = True

    def loss(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return self.losses(output, value, event).mean()

    def losses(self, output: Tensor, value: Tensor, event: Tensor) -> Tensor:
        return nn.functional.cross_entropy(option_logits(output, event), value.long(), reduction="none")

    def frame(self, link: Array, response: Calibrated) -> pd.DataFrame:
        """Convert logits of the options `(n, K)`, -inf where a patient has fewer, to probabilities."""
        names = Choice.answers([str(place + 1) for place in range(link.shape[1])])
        return chosen_frame(link, ~np.isneginf(link), names)  # NaN stays: it is no option that is absent

    def level(self, link: Array, outcome: Outcome) -> Array:
        """The shift of all links by which their loss is smallest, as far as held-out patients bear it out."""
        rows = np.flatnonzero(outcome.known)
        if not len(rows):
            return np.zeros(link.shape[1])
        return cross_validated_shift(Offered.of(outcome.take(rows)), link[rows])


def option_logits(output: Tensor, options: Tensor) -> Tensor:
    """Logits `(B, K)` of outputs `(B, E)` among options `(B, K, E)`; lowest where an option is NaN."""
    missing = torch.isnan(options[..., 0])
    logits = (output[:, None, :] * torch.where(missing[..., None], 0.0, options)).sum(dim=-1)
    return logits.masked_fill(missing, torch.finfo(logits.dtype).min)
