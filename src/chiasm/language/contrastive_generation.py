"""What a tuned model says and its base would not: generation by the contrast of both, and in rounds.

`score(t) = log p_tuned(t | before) - gamma log p_base(t | before)` for each token t with
`p_tuned(t | before) >= alpha max_t p_tuned(t | before)`, and minus infinity for the others; tokens are drawn from the
softmax of the scores, or sought by beams. With gamma 0 and alpha 0 it is ordinary sampling from the tuned model. The
base is the tuned model with its adapter off: there is no second model.

In rounds, the base learns what was generated, and the next round looks for what is new beside that, too; what one
contrast says again and again is said once. Source: CGE (Contrastive Generation for novelty Exploration) in its released
form, with gamma 1 and alpha .1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from chiasm.adapters.peft_attached import PeftAttached
from chiasm.language.preference.completions import Sampling, sampled

GAMMA, ALPHA = 1.0, 0.1

Speaker = Callable[[Tensor], Tensor]
"""Tokens (B, T) to logits of the next one (B, V)."""


@dataclass(frozen=True)
class Contrast:
    """How two models are contrasted.

    Args:
        gamma: weight of the base, 0 or more.
        alpha: a token is plausible if its probability is this share of the largest, or more; from 0 to 1.
    """

    gamma: float = GAMMA
    alpha: float = ALPHA

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ValueError(f"gamma={self.gamma} must be 0 or more")
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha={self.alpha} must lie between 0 and 1")

    def scores(self, tuned: Tensor, base: Tensor) -> Tensor:
        """Scores (B, V) of the next token by the logits of both models, minus infinity where it is not plausible."""
        if tuned.shape != base.shape:
            raise ValueError(
                f"the tuned model has {tuned.shape[-1]:,} tokens and its base {base.shape[-1]:,}: they must be the same"
            )
        own = torch.log_softmax(tuned.float(), -1)
        found = own - self.gamma * torch.log_softmax(base.float(), -1) if self.gamma else own
        if not self.alpha:
            return found
        least = own.max(-1, keepdim=True).values + math.log(self.alpha)
        return found.masked_fill(own < least, -math.inf)


class ContrastWithBase:
    """A processor of logits for transformers' `generate`: those of the tuned model become scores of the contrast.

    Args:
        base: logits of the next token under the base, see `without_adapter`.
    """

    def __init__(self, own: Contrast, base: Speaker) -> None:
        self.own, self.base = own, base

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores (B, V) of the next token, by tokens (B, T) and the tuned model's logits (B, V)."""
        return self.own.scores(scores, self.base(input_ids)) if self.own.gamma else self.own.scores(scores, scores)


def without_adapter(attached: PeftAttached) -> Speaker:
    """Logits of the next token under the base of an attached adapter; begins of one length, without padding."""

    def base(tokens: Tensor) -> Tensor:
        with attached.disabled() as network, torch.no_grad():
            logits: Tensor = network(input_ids=tokens, use_cache=False).logits[:, -1]
        return logits

    return base


def contrasted(
    attached: PeftAttached,
    words: Any,
    prompts: Sequence[str],
    own: Contrast | None = None,
    *,
    candidates: int = 4,
    tokens: int = 64,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[list[str]]:
    """Draw completions of each prompt that the tuned model says and its base would not.

    Raises:
        ValueError: a prompt leaves no room for a completion; its row is named.
    """
    processor = ContrastWithBase(own or Contrast(), without_adapter(attached))
    return sampled(
        attached.base, words, prompts, Sampling(candidates, tokens, temperature), seed=seed, more=[processor]
    )


def drawn(scores: Tensor, source: torch.Generator) -> Tensor:
    """One token (B,) of each row of scores (B, V), drawn from their softmax."""
    return torch.multinomial(torch.softmax(scores, -1), 1, generator=source)[:, 0]


def explored(
    tuned: Speaker,
    base: Speaker,
    begun: Tensor,
    own: Contrast,
    *,
    learn: Callable[[Tensor], Speaker] | None,
    rounds: int = 4,
    tokens: int = 32,
    seed: int = 0,
) -> list[Tensor]:
    """Generate in rounds, and after each teach the base what was generated in all rounds so far.

    Args:
        tuned, base: models as callables.
        begun: (B, T) tokens that each text begins with.
        learn: makes of all generated tokens (N, T + tokens) the base of the next round, such as the base trained on
            them; None for a base that stays as it is.

    Returns:
        The generated tokens of each round, (B, T + tokens).

    Raises:
        ValueError: no round, or no token.
    """
    if rounds < 1 or tokens < 1:
        raise ValueError(f"rounds={rounds} and tokens={tokens} must be 1 or more")
    source = torch.Generator(device=begun.device).manual_seed(seed)
    made, beside = list[Tensor](), base
    for k in range(rounds):
        said = begun
        for _ in range(tokens):
            said = torch.cat([said, drawn(own.scores(tuned(said), beside(said)), source)[:, None]], 1)
        made.append(said)
        if learn is not None and k + 1 < rounds:
            beside = learn(torch.cat(made))
    return made
