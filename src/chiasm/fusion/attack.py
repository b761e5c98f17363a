"""Attacks on tokens: the step within a bound that raises a loss most, for measuring how robust a fusion is."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from chiasm.tokens import Tokens


def fgsm(
    tokens: dict[str, Tokens], attacked: Collection[str], strength: float, loss: Callable[[dict[str, Tokens]], Tensor]
) -> dict[str, Tokens]:
    """Return the tokens with `x + strength sign(d loss / d x)` in the modalities attacked; the others as they are.

    What a fusion loses by it is for the caller to measure.
    Attack every modality too, not only one: a fusion that leans on a branch which the attacker is not given is no more
    robust than that branch. Masked tokens stay as they are, and no parameter has a gradient from it.

    Source: fast gradient sign method, Goodfellow, Shlens and Szegedy, ICLR 2015, arXiv 1412.6572.

    Args:
        tokens: modality to its tokens.
        attacked: names of the modalities whose tokens are moved.
        strength: the largest change of any value, epsilon.
        loss: of tokens to a scalar, such as the mean loss of the true labels.

    Raises:
        ValueError: an attacked modality is not among the tokens, or the strength is below 0.
    """
    if unknown := sorted(set(attacked) - set(tokens)):
        raise ValueError(f"there are no tokens of '{unknown[0]}': there are those of {', '.join(sorted(tokens))}")
    if not strength >= 0:
        raise ValueError(f"the strength is {strength}, and must be 0 or more")
    names = sorted(attacked)
    if not names:
        return dict(tokens)
    leaves = {name: tokens[name].values.detach().clone().requires_grad_() for name in names}
    given = tokens | {name: Tokens(leaves[name], tokens[name].mask, tokens[name].times) for name in names}
    with torch.enable_grad():
        gradients = torch.autograd.grad(loss(given), [leaves[name] for name in names], allow_unused=True)
    moved = dict(tokens)
    for name, gradient in zip(names, gradients, strict=True):
        own = tokens[name]
        if gradient is not None:
            step = torch.where(own.mask[..., None], strength * gradient.sign(), 0.0)
            moved[name] = Tokens(own.values + step, own.mask, own.times)
    return moved
