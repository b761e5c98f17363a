"""Verbalizers: scores of classes from the output of a frozen language model at its mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from chiasm.artifact import storable


class Reader(Protocol):
    """Interface that maps logits `(B, V)` and hidden state `(B, D)` at the mask to label scores `(B, K)`."""

    hidden: bool

    def __call__(self, logits: Tensor, hidden: Tensor | None) -> Tensor: ...


@storable("verbalizer")
@dataclass(frozen=True)
class Verbalizer:
    """Manual verbalizer: `score_k = mean logit at the mask over the words of label k`; `softmax` gives probabilities.

    Args:
        words: label to its token ids, in class order; a token belongs to one label.

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
    """Soft verbalizer: `score = V h`, h the hidden state at the mask; learned labels for words, `K * D` parameters.

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
    """Compute label scores `(B, K)` from the output of `model` at the single mask of each row.

    A manual template is part of the text in `ids`; for a soft or mixed template use
    `attach(model, Prompt(tokens), ...)`, whose learned vectors precede the text, and pass its `attached.model`. The
    model stays frozen; train `attached.parameters()` and those of a soft verbalizer.

    Args:
        model: masked language model of transformers, with or without an adapter.
        ids: `(B, T)` int64, each row with `mask_token` once.
        attention: `(B, T)`, 1 = a real token.

    Raises:
        ValueError: a row has no mask, several, or one in the padding.
    """
    at = (ids == mask_token) & attention.bool()
    if bool((at.sum(1) != 1).any()) or bool(((ids == mask_token).sum(1) != 1).any()):
        raise ValueError("each text needs its mask token once, among its real tokens: check the template")
    return score_at(model, verbalizer, ids, attention, at.int().argmax(1))


def score_at(model: nn.Module, verbalizer: Reader, ids: Tensor, attention: Tensor, places: Tensor) -> Tensor:
    """Compute label scores `(B, K)` from the output of `model` at `places` `(B,)`, columns of `ids`.

    A causal language model predicts the next word at the last piece of the template.
    """
    more: dict[str, Any] = {"output_hidden_states": True} if verbalizer.hidden else {}
    output = model(input_ids=ids, attention_mask=attention, **more)
    before = output.logits.shape[1] - ids.shape[1]  # number of positions of a prompt
    rows, places = torch.arange(len(ids), device=ids.device), places + before
    hidden = output.hidden_states[-1][rows, places] if verbalizer.hidden else None
    return verbalizer(output.logits[rows, places], hidden)
