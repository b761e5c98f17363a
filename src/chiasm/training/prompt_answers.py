"""Objective of prompts that name their tasks: cross-entropy of what is spoken, squared error of the numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.fusion.raw_prompts import NUMBER, SAID, TASK, RawPromptFusion
from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Objective, mean_over_patients


class PromptAnswers(Objective):
    """Losses of a network whose fusion is a `RawPromptFusion` of mixed answers, each a mean over all prompts.

    `said`: the cross-entropy of 0 or 1, of prompts whose task is spoken. `number`: the squared error of the others, in
    the standard units of their task. Their sum is minimised, and tells the epochs apart.
    """

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return both terms; one that no prompt of the batch has is 0."""
        fusion = network.fusion
        assert isinstance(fusion, RawPromptFusion)
        centre, scale, spoken = fusion.levels[fused.extras[TASK]].unbind(1)
        truth = batch.target.value * fusion.levels[-1, 1] + fusion.levels[-1, 0]
        is_spoken, size = spoken > 0.5, max(1, len(truth))
        label = torch.where(is_spoken, truth, 0.0).clamp(0, 1)
        said = functional.binary_cross_entropy_with_logits(fused.extras[SAID], label, reduction="none")
        apart = fused.extras[NUMBER] - (truth - centre) / scale
        return {
            "said": torch.where(is_spoken, said, 0.0).sum() / size,
            "number": torch.where(is_spoken, 0.0, apart.square()).sum() / size,
        }

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of both terms on held-out prompts: by the link alone a task in large units would decide."""
        return mean_over_patients(batches, lambda batch: self(network, batch).losses)
