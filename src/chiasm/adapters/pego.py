"""PEGO: a group of LoRA pairs at a site, kept orthogonal to the frozen weight and to each other."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from chiasm.adapters.peft_attached import PeftAttached


def orthogonality(attached: PeftAttached) -> Tensor:
    """The penalty that preserves and diversifies, a scalar to add to the loss with a weight of your choice.

    `sum over sites of sum_i |W dW_i'|_1 + sum_{i<j} |dW_i dW_j'|_1`, with `dW_i = B_i A_i`, |.|_1 the sum of absolute
    entries, W the site's frozen weight; a convolution's weight is a matrix with a row for each output channel. The
    first sum keeps what the base knows, the second makes the pairs learn different things; both are 0 where the rows
    are orthogonal, and do not mind a sign.

    Args:
        attached: of `LoRA(groups=n)`; `attached.merge()` afterwards costs nothing at test time.

    Raises:
        ValueError: an adapter without pairs A and B.

    Source: Hu et al., Learn to Preserve and Diversify, ECCV 2024, arXiv 2407.15085, and its released code for the norm.
    Deviation: every site that is chosen counts, and not only queries and values; the factor alpha / rank is left out.
    """
    terms = []
    for name in attached.sites:
        site: Any = attached.base.get_submodule(name)
        if not hasattr(site, "lora_A"):
            raise ValueError(f"the site '{name}' carries no pair of LoRA now: attach LoRA(groups=2)")
        weight = _rows(site.get_base_layer().weight)
        deltas = [_rows(site.lora_B[key].weight) @ _rows(site.lora_A[key].weight) for key in site.lora_A]
        terms += [(weight @ delta.T).abs().sum() for delta in deltas]
        terms += [(one @ other.T).abs().sum() for one, other in itertools.combinations(deltas, 2)]
    return torch.stack(terms).sum()


def _rows(weight: Tensor) -> Tensor:
    return weight.flatten(1)
