"""What a patient has, said by words that are near it, as the condition that an image is drawn under.

After ImgAny (Lyu et al., arXiv 2401.17664): entities and attributes are retrieved apart in one space of all modalities,
and what is found conditions a generator that is not trained anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from chiasm.fusion.retrieval_bottleneck import doubles, shares


@dataclass(frozen=True)
class Words:
    """Words of one kind (what something is, or what it is like), and the condition that each stands for.

    Args:
        vectors: `(K, D)` of unit length, in the space of the modalities.
        conditions: `(K, C)` as the generator was trained on them.

    Raises:
        ValueError: there is no word, or there are more conditions than words or fewer.
    """

    vectors: Tensor
    conditions: Tensor

    def __post_init__(self) -> None:
        if not len(self.vectors) or len(self.vectors) != len(self.conditions):
            raise ValueError(
                f"there are {len(self.vectors):,} words and {len(self.conditions):,} conditions: give each word its own"
            )


def retrieved_condition(
    vectors: Tensor, present: Tensor, kinds: Sequence[Words], *, k: int = 5, temperature: float = 0.1
) -> Tensor:
    """Return the condition `(B, C)` of each patient, zeros for one without a modality. Nothing is trained.

        s_j = shares of the k nearest words of kind j, of all modalities together   `fusion.retrieval_bottleneck`
        q_j = mean over the modalities of <x_m, sum_v s_jv v>                        how well kind j says the patient
        c   = sum_j u_j sum_v s_jv c_v,  u = softmax(q / t)

    A modality that is there twice counts once, and changes nothing; one that finds other words than the rest agree on
    is weighted down. Deviations: words are those of a list, and not of a knowledge graph; kinds are weighed by how near
    what they say is.

    Args:
        vectors: `(B, M, D)` of unit length; those of absent modalities are not read.
        present: `(B, M)` bool.
        kinds: words of what it is, of what it is like, or of one kind alone.
        k: words that a modality finds of each kind.
        temperature: t, above zero.

    Raises:
        ValueError: no kind, conditions of unequal width, or `k` or `temperature` is not above zero.
    """
    widths = {own.conditions.shape[1] for own in kinds}
    if len(widths) != 1 or k < 1 or not temperature > 0:
        raise ValueError("give one kind of words or more, conditions of one width, and k and temperature above zero")
    own = torch.where(present[..., None], vectors, torch.zeros_like(vectors))
    once = present / doubles(own, present).sum(2).clamp_min(1)  # (B, M)
    once = once / once.sum(1, keepdim=True).clamp_min(1e-12)
    middle = (once[..., None] * own).sum(1)  # (B, D)
    said, near = [], []
    for words in kinds:
        found = shares(own, present, words.vectors, k=k, temperature=temperature)  # (B, K)
        said.append(found @ words.conditions)
        near.append((middle * (found @ words.vectors)).sum(1))
    weight = torch.softmax(torch.stack(near, 1) / temperature, 1)  # (B, kinds)
    return (weight[..., None] * torch.stack(said, 1)).sum(1)
