"""Labels as words: what a frozen masked language model says at its mask, read as probabilities of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chiasm.artifact import storable


class Reader(Protocol):
    """From what stands at the mask, logits `(B, V)` and hidden state `(B, D)`, to scores of labels `(B, K)`."""

    hidden: bool

    def __call__(self, logits: Tensor, hidden: Tensor | None) -> Tensor: ...


@storable("verbalizer")
@dataclass(frozen=True)
class Verbalizer:
    """`score_k = mean over the words of label k of their logit at the mask`; `softmax` of it is the probability.

    Args:
        words: label to the numbers of its tokens, in the order of the classes; a token belongs to one label.

    Source: Taylor et al., Clinical Prompt Learning with Frozen Language Models, arXiv 2205.05535; Schick and Schuetze,
    EACL 2021, arXiv 2001.07676.
    """

    words: dict[str, tuple[int, ...]]
    hidden = False

    def __post_init__(self) -> None:
        tokens = [token for words in self.words.values() for token in words]
        if len(self.words) < 2 or not all(self.words.values()) or len(set(tokens)) != len(tokens) or min(tokens) < 0:
            raise ValueError("a verbalizer has two labels or more, each with tokens of its own")

    def __call__(self, logits: Tensor, hidden: Tensor | None = None) -> Tensor:
        if max(token for words in self.words.values() for token in words) >= logits.shape[-1]:
            raise ValueError(f"a word of the verbalizer lies outside the model's {logits.shape[-1]} tokens")
        return torch.stack([logits[:, list(words)].mean(1) for words in self.words.values()], 1)


class SoftVerbalizer(nn.Module):
    """`score = V h`, h the hidden state at the mask: learned labels in place of words, `K * D` parameters.

    Source: Taylor et al., arXiv 2205.05535; Hambardzumyan et al., WARP, ACL 2021, arXiv 2101.00121.
    """

    hidden = True

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.labels = nn.Linear(width, labels, bias=False)

    def forward(self, logits: Tensor, hidden: Tensor | None) -> Tensor:
        if hidden is None:
            raise ValueError("a soft verbalizer needs hidden states, and this model gave none")
        scores: Tensor = self.labels(hidden)
        return scores


def score_labels(model: nn.Module, verbalizer: Reader, ids: Tensor, attention: Tensor, mask_token: int) -> Tensor:
    """Scores of the labels, `(B, K)`, by what `model` says at the one mask of each row.

    A manual template is in the text of `ids`; a soft or a mixed one is `attach(model, Prompt(tokens), ...)`, whose
    learned vectors stand before the text: give its `attached.model`. The model stays frozen, and what is trained is
    `attached.parameters()` and a soft verbalizer's.

    Args:
        model: a masked language model of the library transformers, with an adapter or without.
        ids: `(B, T)` int64, each row with `mask_token` once.
        attention: `(B, T)`, 1 = a real token.

    Raises:
        ValueError: a row without a mask, with two, or with one that is padding.
    """
    at = (ids == mask_token) & attention.bool()
    if bool((at.sum(1) != 1).any()) or bool(((ids == mask_token).sum(1) != 1).any()):
        raise ValueError("each text needs its mask token once, among its real tokens: check the template")
    return score_at(model, verbalizer, ids, attention, at.int().argmax(1))


def score_at(model: nn.Module, verbalizer: Reader, ids: Tensor, attention: Tensor, places: Tensor) -> Tensor:
    """Scores of the labels, `(B, K)`, by what `model` says at `places` `(B,)`, columns of `ids`.

    What a causal language model says of the next word stands at the last one of the template.
    """
    more: dict[str, Any] = {"output_hidden_states": True} if verbalizer.hidden else {}
    output = model(input_ids=ids, attention_mask=attention, **more)
    before = output.logits.shape[1] - ids.shape[1]  # a prompt's own positions
    rows, places = torch.arange(len(ids), device=ids.device), places + before
    hidden = output.hidden_states[-1][rows, places] if verbalizer.hidden else None
    return verbalizer(output.logits[rows, places], hidden)
