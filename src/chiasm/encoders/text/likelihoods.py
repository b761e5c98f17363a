"""Log-likelihoods of texts that begin alike under a causal language model: what they share is read once.

Options of one question share its prompt. Where they part in their last token, one pass gives the likelihood of each.
Else the shared tokens are read once, their keys and values are kept, and what is left of all texts is read together
behind them, padded at the end, which a causal model does not see. A model whose cache is of another kind (a state
space, a quantised one) reads each text whole; the log-likelihoods are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from chiasm.encoders.text.causal import cache_name

PLAIN = ("DynamicLayer", "DynamicSlidingWindowLayer")
"""Layers of a cache that can be repeated for a batch, and read on from."""


def log_likelihoods(network: Any, texts: Sequence[Sequence[int]], start: int) -> list[Tensor]:
    """Log p of each token of each text from `start` on, given all before it: `(T_k - start,)` for each text k.

    Args:
        network: a causal language model of transformers, without dropout.
        texts: K texts as tokens, equal up to `start` at least, which is 1 or more; each is longer than `start`.
        start: place of the first token that is scored.
    """
    common = min(shared(texts), min(map(len, texts)) - 1)
    if all(len(own) == common + 1 for own in texts):  # they part in their last token: one pass for all
        first, _ = _read(network, [texts[0][:common]], common - start + 1)
        return [_of_tokens(first[0], own[start:]) for own in texts]
    if common >= start:
        found = _read_on(network, texts, start, common)
        if found is not None:
            return found
    return [_of_tokens(_read(network, [own[:-1]], len(own) - start)[0][0], own[start:]) for own in texts]


def next_tokens(network: Any, texts: Sequence[Sequence[int]]) -> Tensor:
    """Log p `(K, V)` of what may follow each of K texts; what they share from their begin is read once.

    Args:
        network: a causal language model of transformers, without dropout.
        texts: K texts as tokens, each of one or more.
    """
    common = min(shared(texts), min(map(len, texts)) - 1)
    if common and len(texts) > 1:
        _, kept = _read(network, [texts[0][:common]], 1, keep=True)
        if _is_plain(kept):
            rest = [list(own[common:]) for own in texts]
            short = min(map(len, rest))
            after = _behind(network, rest, kept, short - 1)
            last = after[range(len(rest)), [len(own) - short for own in rest]]
            return torch.log_softmax(last.float(), -1).cpu()
    each = [_read(network, [own], 1)[0][0, -1] for own in texts]
    return torch.log_softmax(torch.stack(each).float(), -1).cpu()


def shared(texts: Sequence[Sequence[int]]) -> int:
    """Return how many tokens texts have in common from their begin."""
    return next((k for k, own in enumerate(zip(*texts, strict=False)) if len(set(own)) > 1), min(map(len, texts)))


def _read_on(network: Any, texts: Sequence[Sequence[int]], start: int, common: int) -> list[Tensor] | None:
    """Read the `common` tokens once and what follows them together; None where the cache cannot be read on from."""
    before, kept = _read(network, [texts[0][:common]], common - start + 1, keep=True)
    if not _is_plain(kept):
        return None
    rest = [list(own[common:-1]) for own in texts]
    after = _behind(network, rest, kept)
    return [
        _of_tokens(torch.cat([before[0], after[k, : len(rest[k])]]), own[start:]) for k, own in enumerate(texts)
    ]  # fmt: skip


def _is_plain(kept: Any) -> bool:
    """Whether a cache can be repeated for a batch, and read on from."""
    layers: Any = getattr(kept, "layers", None)
    return bool(layers) and all(type(own).__name__ in PLAIN for own in layers)


def _behind(network: Any, rest: Sequence[list[int]], kept: Any, start: int = 0) -> Tensor:
    """Logits `(K, T - start, V)` of what stands behind a cache from `start` on, padded at the end."""
    kept.batch_repeat_interleave(len(rest))
    longest = max(map(len, rest))
    padded = [own + [0] * (longest - len(own)) for own in rest]
    return _read(network, padded, longest - start, behind=kept)[0]


def _read(
    network: Any, tokens: Sequence[Sequence[int]], last: int, *, keep: bool = False, behind: Any = None
) -> tuple[Tensor, Any]:
    """Logits `(K, last, V)` at the last places of tokens `(K, T)`, and keys and values where they are kept."""
    known = signature(network.forward).parameters
    options: dict[str, Any] = {"use_cache": keep or behind is not None}
    if "logits_to_keep" in known:  # the map to the vocabulary is a fifth of a small model
        options["logits_to_keep"] = last
    if behind is not None:
        options[str(cache_name(network))] = behind
    made = network(torch.tensor(tokens, device=network.device), **options)
    return made.logits[:, -last:], getattr(made, cache_name(network) or "cache", None) if keep else None


def _of_tokens(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """Log-likelihood `(T,)` of tokens by logits `(T, V)`."""
    own = torch.log_softmax(logits.float(), -1)
    return own.gather(1, torch.tensor(tokens, device=own.device)[:, None])[:, 0].cpu()
