"""Prompts of a modality for each output of the head, compared with its tokens."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PromptBank(nn.Module):
    """Link of one modality by its prompts: `g_m mean of the top-j cosines of its tokens with prompt c_mk, + b_mk`.

    For each output k the j tokens most like its prompt count, whatever the outcome: no label chooses them, in training
    or prediction.

    Source: the one-modality stage of DisPro, CVPR 2025. Deviation: one prompt for an output of the head, learned as a
    vector; there for each survival bin of the censored and the uncensored, through a frozen text encoder.

    Args:
        modalities, width: M and D.
        outputs: K of the head.
        top: j, the number of tokens that count.
    """

    def __init__(self, modalities: int, width: int, outputs: int, top: int = 2) -> None:
        super().__init__()
        self.top = top
        self.prompts = nn.Parameter(torch.randn(modalities, outputs, width))
        self.log_scale = nn.Parameter(torch.full((modalities,), math.log(5.0)))
        self.bias = nn.Parameter(torch.zeros(modalities, outputs))

    def forward(self, tokens: Tensor, modality: int) -> Tensor:
        """Return the link `(B, K)` that the tokens `(B, L, D)` of a modality have by its prompts."""
        prompts = nn.functional.normalize(self.prompts[modality], dim=1)
        cosines = nn.functional.normalize(tokens, dim=2) @ prompts.T  # (B, L, K)
        best = cosines.topk(min(self.top, tokens.shape[1]), dim=1).values.mean(1)
        return self.log_scale[modality].exp() * best + self.bias[modality]
