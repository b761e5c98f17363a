"""Completions of prompts under a causal language model: drawn from it, and their log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chiasm.compute.isolation import own_randomness, seeded
from chiasm.encoders.text.causal import reach_of
from chiasm.encoders.text.likelihoods import shared


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn.

    Args:
        candidates: how many for each prompt.
        tokens: most tokens of a completion.
        temperature: what logits are divided by, above 0.
    """

    candidates: int = 4
    tokens: int = 64
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.candidates < 1 or self.tokens < 1:
            raise ValueError(f"candidates={self.candidates} and tokens={self.tokens} must be 1 or more")
        if not self.temperature > 0:
            raise ValueError(f"temperature={self.temperature} must be above 0")


def sampled(
    network: Any, words: Any, prompts: Sequence[str], own: Sampling, *, seed: int = 0, more: Sequence[Any] = ()
) -> list[list[str]]:
    """Draw completions of each prompt: those of one prompt depend on it and the seed alone, not on the others.

    Args:
        network, words: a causal language model of transformers and its tokenizer.
        more: processors of logits, see transformers' `LogitsProcessor`.

    Raises:
        ValueError: a prompt leaves no room for a completion; its row is named.
    """
    begun = [tokens_of(words, prompt) for prompt in prompts]
    require_room(network, [len(row) + own.tokens for row in begun])
    found = []
    for prompt, ids in zip(prompts, begun, strict=True):
        given = torch.tensor([ids], device=network.device)
        with own_randomness(seeded(seed, prompt), str(network.device)), torch.no_grad():
            made = network.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=own.tokens,
                do_sample=True,
                temperature=own.temperature,
                top_k=0,
                top_p=1.0,
                num_beams=1,
                num_return_sequences=own.candidates,
                pad_token_id=words.eos_token_id,
                logits_processor=list(more),
            )
        found.append([continuation(words, ids, row) for row in made.tolist()])
    return found


def continuation(words: Any, begun: Sequence[int], whole: Sequence[int]) -> str:
    """The text of `whole` behind its begin, with the space between both where the tokenizer writes one."""
    before, text = (str(words.decode(own, skip_special_tokens=True)) for own in (list(begun), list(whole)))
    if text.startswith(before):
        return text[len(before) :]
    return str(words.decode(list(whole[len(begun) :]), skip_special_tokens=True))


def tokens_of(words: Any, text: str) -> list[int]:
    """Tokens of a text from its begin, with the mark of one where the tokenizer sets it, and without one of its end."""
    ids = [int(own) for own in words(text)["input_ids"]]
    return ids[:-1] if len(ids) > 1 and ids[-1] == words.eos_token_id else ids


def require_room(network: Any, lengths: Sequence[int]) -> None:
    """Raise `ValueError` naming the first text that is longer than the model can read."""
    reach = reach_of(network)
    row = next((row for row, length in enumerate(lengths) if length > reach), None)
    if row is not None:
        raise ValueError(
            f"the prompt in row {row:,} takes {lengths[row]:,} tokens with its completion and the model can read "
            f"{reach:,}: shorten it, or ask for fewer tokens"
        )


def split_tokens(words: Any, prompt: str, completion: str) -> tuple[list[int], list[int]]:
    """Tokens of a prompt and of what follows it, an end of text included, as the whole text is cut into tokens."""
    begun, whole = tokens_of(words, prompt), tokens_of(words, prompt + completion)
    common = shared([begun, whole])
    return whole[:common], [*whole[common:], int(words.eos_token_id)]


def completion_log_probabilities(
    network: Any, words: Any, prompts: Sequence[str], completions: Sequence[str], *, batch: int = 8
) -> tuple[Tensor, Tensor]:
    """Log-probability `(B,)` of each completion, the sum over its tokens with the end of the text, and their number.

    Raises:
        ValueError: a prompt and its completion are longer than the model can read.
    """
    split = [split_tokens(words, *own) for own in zip(prompts, completions, strict=True)]
    require_room(network, [len(before) + len(after) for before, after in split])
    found = [_of_batch(network, split[first : first + batch]) for first in range(0, len(split), batch)]
    sums = torch.cat(found) if found else torch.zeros(0)
    return sums, torch.tensor([float(len(after)) for _, after in split])


def _of_batch(network: Any, split: Sequence[tuple[list[int], list[int]]]) -> Tensor:
    """Log-probability `(B,)` of the second part of each, padded at the end, where a causal model does not look."""
    wholes = [before + after for before, after in split]
    longest = max(map(len, wholes))
    ids = torch.tensor([own + [0] * (longest - len(own)) for own in wholes], device=network.device)
    held = torch.tensor([[1] * len(own) + [0] * (longest - len(own)) for own in wholes], device=network.device)
    logits = network(input_ids=ids, attention_mask=held, use_cache=False).logits[:, :-1].float()
    each = torch.log_softmax(logits, -1).gather(2, ids[:, 1:, None])[..., 0]  # (B, T - 1)
    asked = torch.zeros_like(each, dtype=torch.bool)
    for row, (before, after) in enumerate(split):
        asked[row, len(before) - 1 : len(before) + len(after) - 1] = True
    return (each * asked).sum(1).cpu()
