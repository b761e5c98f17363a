"""Conformance check of fusions: independent of absent values and of other patients, without side effects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness
from chiasm.protocols import Fused
from chiasm.testing.laws import TOLERANCE, require
from chiasm.tokens import Tokens

Shapes = Mapping[str, tuple[int, int]]
PATIENTS = 9
LONGEST = 6
PLACEHOLDERS = (float("nan"), 0.0, 1e9)


def check_fusion(make: Callable[[Shapes], nn.Module], shapes: Shapes, *, seed: int = 0) -> None:
    """Check a fusion on random tokens with absent modalities, masked tokens and ragged bags.

    Args:
        make: creates the module from shapes, e.g. the class `HealNet`.
        shapes: (width, slots) of each modality's tokens, 0 slots for a bag; two or more modalities, one of them a bag.
        seed: seed of the tokens and of the module's initial values.

    Raises:
        AssertionError: a law does not hold; the message names it and the observation.
    """
    with own_randomness(seed):
        fusion = make(shapes).eval()
        tokens, present = _batch(shapes)
        _output(fusion, tokens, present)
        _placeholders(fusion, tokens, present)
        _one_by_one(fusion, shapes, tokens, present)
        _order_of_bags(fusion, shapes, tokens, present)
        for mode in (True, False):
            _changes_nothing(fusion.train(mode), tokens, present)
        _gradients(fusion.train(), tokens, present)


def _batch(shapes: Shapes) -> tuple[dict[str, Tokens], Tensor]:
    """Draw tokens of nine patients with ragged masks: all modalities, each one missing in turn, each one alone."""
    names = sorted(shapes)
    present = torch.ones(PATIENTS, len(names), dtype=torch.bool)
    for m in range(len(names)):
        present[1 + 2 * m % (PATIENTS - 1), m] = False
        present[2 + 2 * m % (PATIENTS - 1)] = torch.arange(len(names)) == m
    tokens = {}
    for m, name in enumerate(names):
        width, slots = shapes[name]
        length = slots or LONGEST
        kept = torch.randint(1, length + 1, (PATIENTS,))
        kept[0] = length
        mask = torch.arange(length) < kept[:, None]
        tokens[name] = Tokens(torch.randn(PATIENTS, length, width), mask & present[:, m, None])
    return {
        name: Tokens(own.values, own.mask, 12 * torch.rand(own.mask.shape)) for name, own in tokens.items()
    }, present


def _output(fusion: nn.Module, tokens: dict[str, Tokens], present: Tensor) -> None:
    fused, law = fusion(tokens, present), "a fusion gives Fused with an embedding (B, D)"
    require(isinstance(fused, Fused), law, f"it gives {type(fused).__name__}")
    shape = tuple(fused.embedding.shape)
    require(len(shape) == 2 and shape[0] == len(present), law, f"the embedding is {shape} for {len(present)} patients")
    require(bool(torch.isfinite(fused.embedding).all()), "every embedding is finite", "one is not")
    for name, latents in fused.latents.items():
        shape = tuple(latents.shape)
        require(
            latents.ndim == 3 and len(latents) == len(present), "latents are (B, L, D)", f"those of {name}: {shape}"
        )
    for name, loss in fused.losses.items():
        require(loss.ndim == 0, "losses are scalars", f"'{name}' is {tuple(loss.shape)}")
    require(torch.equal(fused.embedding, fusion(tokens, present).embedding), "forward is repeatable", "it is not")


def _placeholders(fusion: nn.Module, tokens: dict[str, Tokens], present: Tensor) -> None:
    law = "what stands behind an absent or masked token cannot be read"
    seen: list[tuple[Tensor, list[Tensor | None]]] = []
    for filler in PLACEHOLDERS:
        leaves, filled = {}, {}
        for m, name in enumerate(sorted(tokens)):
            own = tokens[name]
            real = own.mask & present[:, m, None]
            values = torch.where(real[..., None], own.values, torch.tensor(filler)).requires_grad_()
            # The mask of an absent patient is set to True: only `present` may count.
            times = torch.where(real, _times(own), torch.tensor(filler))
            leaves[name], filled[name] = (values, real), Tokens(values, own.mask | ~present[:, m, None], times)
        embedding = fusion(filled, present).embedding
        fusion.zero_grad(set_to_none=True)
        embedding.square().sum().backward()
        for name, (values, real) in leaves.items():
            if values.grad is not None:
                behind = values.grad[~real]
                zero = bool((behind == 0).all())
                require(
                    zero,
                    "the gradient behind an absent or masked token is zero",
                    f"with {filler:g} in '{name}' it is not",
                )
        seen.append((embedding.detach(), [parameter.grad for parameter in fusion.parameters()]))
    for filler, (embedding, gradients) in zip(PLACEHOLDERS, seen, strict=True):
        require(
            torch.equal(embedding, seen[1][0]), law, f"with {filler:g} there the embedding is another one than with 0"
        )
        for one, other in zip(gradients, seen[1][1], strict=True):
            same = one is other if one is None or other is None else torch.equal(one, other)
            require(same, law, f"with {filler:g} there a parameter's gradient is another one than with 0")


def _one_by_one(fusion: nn.Module, shapes: Shapes, tokens: dict[str, Tokens], present: Tensor) -> None:
    together = fusion(tokens, present).embedding
    for row in range(len(present)):
        alone = {name: _cut(own, row, shapes[name][1]) for name, own in tokens.items()}
        gap = _apart(together[row], fusion(alone, present[[row]]).embedding[0])
        law = "an embedding does not depend on who else is in the batch"
        require(gap <= TOLERANCE, law, f"a patient alone, without the others' padding, differs by {gap:.1e}")


def _cut(tokens: Tokens, row: int, slots: int) -> Tokens:
    """Select one patient; a bag is cut to its own length, tokens with fixed positions are kept."""
    length = slots or max(1, int(tokens.mask[row].sum()))
    return Tokens(tokens.values[[row], :length], tokens.mask[[row], :length], _times(tokens)[[row], :length])


def _times(tokens: Tokens) -> Tensor:
    assert tokens.times is not None  # every batch of this check has them
    return tokens.times


def _order_of_bags(fusion: nn.Module, shapes: Shapes, tokens: dict[str, Tokens], present: Tensor) -> None:
    turned = dict(tokens)
    for name, (_, slots) in shapes.items():
        if not slots:
            turned[name] = Tokens(tokens[name].values.flip(1), tokens[name].mask.flip(1), _times(tokens[name]).flip(1))
    gap = _apart(fusion(tokens, present).embedding, fusion(turned, present).embedding)
    require(
        gap <= TOLERANCE, "the order of a bag's tokens has no meaning", f"reversed, the embedding differs by {gap:.1e}"
    )


def _changes_nothing(fusion: nn.Module, tokens: dict[str, Tokens], present: Tensor) -> None:
    state = {key: value.clone() for key, value in fusion.state_dict().items()}
    given = {name: (own.values.clone(), own.mask.clone()) for name, own in tokens.items()}
    here, mode = present.clone(), "training" if fusion.training else "evaluation"
    fusion(tokens, present)
    after = fusion.state_dict()
    for key, value in state.items():
        require(torch.equal(value, after[key]), "forward changes no state", f"'{key}' changed in {mode} mode")
    for name, (values, mask) in given.items():
        same = torch.equal(values, tokens[name].values) and torch.equal(mask, tokens[name].mask)
        require(same, "forward leaves its inputs as they were", f"those of '{name}' changed in {mode} mode")
    require(torch.equal(here, present), "forward leaves its inputs as they were", f"present changed in {mode} mode")


def _gradients(fusion: nn.Module, tokens: dict[str, Tokens], present: Tensor) -> None:
    fusion.zero_grad(set_to_none=True)
    fused = fusion(tokens, present)
    total: Any = fused.embedding.square().sum() + sum(fused.losses.values())
    total.backward()
    for name, parameter in fusion.named_parameters():
        if parameter.grad is not None:
            require(bool(torch.isfinite(parameter.grad).all()), "every gradient is finite", f"that of '{name}' is not")


def _apart(one: Tensor, other: Tensor) -> float:
    return float(((one - other).abs().max() / one.abs().max().clamp_min(1.0)).detach())
