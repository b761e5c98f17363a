"""Attacks on tokens: what within a bound raises a loss most, for measuring how robust a fusion is, and its control."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from chiasm.tokens import Tokens

LossOf = Callable[[dict[str, Tokens]], Tensor]
STEPS = 10
STRIDE = 2.5  # lengths of the bound that all steps together go, so that its far end is reached and turned from


def fgsm(
    tokens: dict[str, Tokens],
    attacked: Collection[str],
    strength: float,
    loss: LossOf,
    *,
    spread: Mapping[str, Tensor] | None = None,
) -> dict[str, Tokens]:
    """Return the tokens with `x + strength spread sign(d loss / d x)` in the modalities attacked, others as they are.

    What a fusion loses by it is for the caller to measure.
    Attack every modality too, not only one: a fusion that leans on a branch which the attacker is not given is no more
    robust than that branch. Masked tokens stay as they are, and no parameter has a gradient from it.

    Source: fast gradient sign method, Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv 1412.6572.

    Args:
        tokens: modality to its tokens.
        attacked: names of the modalities whose tokens are moved.
        strength: the largest change of any value, epsilon, in units of the spread.
        loss: of tokens to a scalar, such as the mean loss of the true labels.
        spread: modality to the unit of each value, `(T, D)` or `(1, D)`; ones unless given.

    Raises:
        ValueError: an attacked modality is not among the tokens, or the strength is below 0.
    """
    names = _named(tokens, attacked, strength)
    return _moved(tokens, names, strength, loss, spread)


def pgd(
    tokens: dict[str, Tokens],
    attacked: Collection[str],
    strength: float,
    loss: LossOf,
    *,
    steps: int = STEPS,
    spread: Mapping[str, Tensor] | None = None,
) -> dict[str, Tokens]:
    """Return the tokens after several steps of `fgsm`, each brought back within `strength spread` of where it began.

    Each step is `2.5 strength / steps` long, the first from the tokens themselves.

    Source: projected gradient descent, Madry et al., ICLR 2018, arXiv 1706.06083; we start at the tokens and not at a
    random point within the bound, so that one step is less than `fgsm` and the outcome needs no seed.

    Args:
        tokens, attacked, strength, loss, spread: as for `fgsm`.
        steps: 1 or more.
    """
    names = _named(tokens, attacked, strength)
    if steps < 1:
        raise ValueError(f"an attack has one step or more, not {steps}")
    here = dict(tokens)
    for _ in range(steps):
        there = _moved(here, names, STRIDE * strength / steps, loss, spread)
        for name in names:
            begun, bound = tokens[name].values, strength * _unit(tokens[name], spread, name)
            values = torch.minimum(torch.maximum(there[name].values, begun - bound), begun + bound)
            values = torch.where(tokens[name].mask[..., None], values, begun)
            here[name] = Tokens(values, tokens[name].mask, tokens[name].times)
    return here


def noise(
    tokens: dict[str, Tokens],
    attacked: Collection[str],
    strength: float,
    generator: torch.Generator,
    *,
    spread: Mapping[str, Tensor] | None = None,
) -> dict[str, Tokens]:
    """Return the tokens with `x + strength spread s`, each s a random sign: the control of an attack of this strength.

    Args:
        tokens, attacked, strength, spread: as for `fgsm`.
        generator: draws the signs.
    """
    names, moved = _named(tokens, attacked, strength), dict(tokens)
    for name in names:
        own = tokens[name]
        signs = torch.randint(2, own.values.shape, generator=generator).to(own.values.dtype) * 2 - 1
        moved[name] = _stepped(own, strength * signs * _unit(own, spread, name))
    return moved


def _named(tokens: Mapping[str, Tokens], attacked: Collection[str], strength: float) -> list[str]:
    if unknown := sorted(set(attacked) - set(tokens)):
        raise ValueError(f"there are no tokens of '{unknown[0]}': there are those of {', '.join(sorted(tokens))}")
    if not strength >= 0:
        raise ValueError(f"the strength is {strength}, and must be 0 or more")
    return sorted(attacked)


def _moved(
    tokens: dict[str, Tokens], names: list[str], size: float, loss: LossOf, spread: Mapping[str, Tensor] | None
) -> dict[str, Tokens]:
    """One step along the signs of the gradient."""
    if not names:
        return dict(tokens)
    leaves = {name: tokens[name].values.detach().clone().requires_grad_() for name in names}
    given = tokens | {name: Tokens(leaves[name], tokens[name].mask, tokens[name].times) for name in names}
    with torch.enable_grad():
        gradients = torch.autograd.grad(loss(given), [leaves[name] for name in names], allow_unused=True)
    moved = dict(tokens)
    for name, gradient in zip(names, gradients, strict=True):
        if gradient is not None:
            moved[name] = _stepped(tokens[name], size * gradient.sign() * _unit(tokens[name], spread, name))
    return moved


def _stepped(own: Tokens, step: Tensor) -> Tokens:
    return Tokens(own.values + torch.where(own.mask[..., None], step, 0.0), own.mask, own.times)


def _unit(own: Tokens, spread: Mapping[str, Tensor] | None, name: str) -> Tensor:
    return torch.ones((), dtype=own.values.dtype) if spread is None else spread[name].to(own.values.dtype)
