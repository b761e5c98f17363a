"""PEGO penalty: keeps the LoRA pairs at a site orthogonal to the frozen weight and to each other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from chiasm.adapters.attach import Attached
from chiasm.adapters.attention_lora import AttentionLoRAPart
from chiasm.adapters.peft_attached import PeftAttached


def orthogonality(attached: Attached | PeftAttached) -> Tensor:
    """Compute PEGO's orthogonality penalty, a scalar to add to the loss with a weight of your choice.

        sum over sites of (sum_i |W dW_i'|_1 + sum_{i<j} |dW_i dW_j'|_1)

    Here `dW_i = B_i A_i`, |.|_1 is the sum of absolute entries and W the site's frozen weight; a convolution's weight
    is a matrix with one row per output channel. The first sum preserves what the base has learned, the second makes the
    pairs learn different things; both are 0 for orthogonal rows and independent of sign.

    Args:
        attached: attached `LoRA(groups=n)` or `AttentionLoRA(groups=n)`; merged later, it costs nothing at test time.

    Raises:
        ValueError: the adapter has no pairs A and B.

    Source: Hu et al., Learn to Preserve and Diversify, ECCV 2024, arXiv 2407.15085, and its released code for the norm.
    Deviation: every chosen site counts, not only queries and values; the factor alpha / rank is omitted.
    """
    terms = []
    for weight, deltas in _pairs(attached):
        terms += [(weight @ delta.T).abs().sum() for delta in deltas]
        terms += [(one @ other.T).abs().sum() for one, other in itertools.combinations(deltas, 2)]
    return torch.stack(terms).sum()


def _pairs(attached: Attached | PeftAttached) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Yield the frozen weight of each site as a matrix, with its products `B_i A_i`."""
    for name in attached.sites:
        if isinstance(attached, Attached):
            part = attached.parts[name]
            if not isinstance(part, AttentionLoRAPart):
                raise ValueError(f"the site '{name}' carries no pair of LoRA: attach LoRA(groups=2)")
            held = attached.model.get_submodule(name)._parameters[part.changes[0]]
            assert held is not None  # a part is made from its weight
            yield held.flatten(1), part.deltas()
            continue
        site: Any = attached.base.get_submodule(name)
        if not hasattr(site, "lora_A"):
            raise ValueError(f"the site '{name}' carries no pair of LoRA now: attach LoRA(groups=2)")
        pairs = [(site.lora_B[key].weight, site.lora_A[key].weight) for key in site.lora_A]
        yield site.get_base_layer().weight.flatten(1), [tall.flatten(1) @ thin.flatten(1) for tall, thin in pairs]
