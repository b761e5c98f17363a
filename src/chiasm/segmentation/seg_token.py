"""Masks that a language model asks for: the state of each [SEG] that it says is a prompt of a mask decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.segmentation.drawing import soft_dice
from chiasm.segmentation.promptable import PromptedSam

ENTROPY, DICE = 2.0, 0.5
"""Weights of the losses of a mask beside the language model's own, as released."""
States = Callable[[Tensor], Tensor]
"""Ids `(B, T)` to the states `(B, T, W)` of a causal model, those of a place before it are not read after it."""


class SegBridge(nn.Module):
    """Prompts of a mask decoder from the states of [SEG]: `p = W_2 relu(W_1 h)`, one for each that was said.

    Args:
        width: W, of the language model's states.
        prompt: C, of the decoder's tokens.
        seg: id of [SEG].

    Source: UniBiomed (arXiv 2504.21336), as LISA (arXiv 2308.00692). Deviation: the released code lets the first five
    states stand in for a [SEG] that is not there; here there is no mask then.
    """

    def __init__(self, width: int, prompt: int, seg: int) -> None:
        super().__init__()
        self.seg = seg
        inner, outer = nn.Linear(width, width), nn.Linear(width, prompt)
        self.map = nn.Sequential(inner, nn.ReLU(), outer)
        for own in (inner, outer):  # as large as the other tokens of a decoder, which hears no whisper
            nn.init.kaiming_normal_(own.weight)

    def forward(self, states: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return prompts `(N, C)` in the order in which each text says [SEG], and whose each is, `(N,)`.

        Args:
            states: `(B, T, W)`.
            ids: `(B, T)`.
        """
        row, place = (ids == self.seg).nonzero(as_tuple=True)
        return self.map(states[row, place]), row


@dataclass(frozen=True)
class Asked:
    """Masks that texts ask for.

    Args:
        logits: `(N, H, W)`; none where nobody says [SEG].
        owner: `(N,)`, whose text it was.
    """

    logits: Tensor
    owner: Tensor


def asked_masks(
    network: PromptedSam, bridge: SegBridge, embedded: Tensor, states: Tensor, ids: Tensor, shape: Sequence[int]
) -> Asked:
    """Draw a mask for each [SEG] in the image of the patient whose text says it.

    Args:
        embedded: `(B, C, h, w)`, of `network.embedded`.
        states, ids: of the texts, `(B, T, W)` and `(B, T)`.
        shape: H, W.
    """
    prompts, owner = bridge(states, ids)
    if not len(prompts):
        return Asked(embedded.new_zeros(0, *shape), owner)
    low, _ = network.decoded(embedded[owner], prompts[:, None, None], network.dense(None, len(prompts)))
    return Asked(network.restored(low, shape), owner)


def asked_losses(asked: Asked, truth: Tensor, there: Tensor | None = None) -> dict[str, Tensor]:
    """Losses of masks that were asked for, `2 BCE + dice / 2`, against `(N, H, W)` bool in the same order.

    Args:
        there: `(N, H, W)` bool, where there is an image; None: everywhere.

    Raises:
        ValueError: there are more masks than were asked for, or fewer.
    """
    if truth.shape != asked.logits.shape:
        raise ValueError(f"{len(asked.logits)} masks were asked for, and {len(truth)} are known: one for each [SEG]")
    if not len(truth):
        return {"entropy": asked.logits.sum(), "dice": asked.logits.sum()}
    here = torch.ones_like(asked.logits) if there is None else there.to(asked.logits)
    y, p = truth.to(asked.logits), asked.logits.sigmoid() * here
    dice = soft_dice((p * y).sum((1, 2)), p.sum((1, 2)), y.sum((1, 2)))
    entropy = functional.binary_cross_entropy_with_logits(asked.logits, y, here, reduction="sum") / here.sum()
    return {"entropy": ENTROPY * entropy, "dice": DICE * (1 - dice.mean())}


def answered(states: States, words: nn.Module, ids: Tensor, most: int, end: int) -> Tensor:
    """The text `(T,)` that a causal model goes on with, word by word the likeliest, after its question.

    Args:
        words: states to logits over the vocabulary.
        ids: `(T,)` of the question.
        most: words of the answer.
        end: id after which nothing is said.
    """
    said = ids
    for _ in range(most):
        following = words(states(said[None])[0, -1]).argmax()
        said = torch.cat([said, following[None]])
        if int(following) == end:
            break
    return said
