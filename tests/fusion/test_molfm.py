"""MolFM's network: the public check with every part, and a pair is judged without what stands beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from chiasm.fusion.molfm import Molfm
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (9, 0), "b": (5, 0), "c": (2, 3), "~k": (1, 1)}
NEAR = torch.tensor([[1, -1], [0, 2], [1, -1], [-1, -1]])


def network(shapes: Mapping[str, tuple[int, int]] = SHAPES, **roles: str) -> Molfm:
    named: Any = {"structure": "a", "text": "b", "knowledge": "~k", **roles}
    return Molfm(shapes, **named, atom=3, neighbours=NEAR, relations=2, latent_width=8, heads=2, layers=2)


def test_the_public_check_with_all_parts_and_without_some() -> None:
    check_fusion(network, SHAPES)
    check_fusion(lambda shapes: network(shapes, text=""), {"a": (9, 0), "c": (2, 3)})


def test_a_pair_is_judged_by_structure_text_and_facts_alone() -> None:
    torch.manual_seed(0)
    fusion = network().eval()
    tokens = {
        name: Tokens(torch.randn(4, slots or 3, width), torch.ones(4, slots or 3, dtype=torch.bool))
        for name, (width, slots) in SHAPES.items()
    }
    present, rows, turned = torch.ones(4, 4, dtype=torch.bool), torch.arange(4), torch.tensor([1, 0, 3, 2])
    with torch.no_grad():
        fused = fusion(tokens, present)
        own = fusion.matched(fused.extras, rows, rows)
        assert not torch.allclose(own, fusion.matched(fused.extras, rows, turned))
        other = {**tokens, "c": Tokens(tokens["c"].values + 1, tokens["c"].mask)}
        assert torch.equal(own, fusion.matched(fusion(other, present).extras, rows, rows))
        other = {**tokens, "~k": Tokens(tokens["~k"].values + 1, tokens["~k"].mask)}
        assert not torch.allclose(own, fusion.matched(fusion(other, present).extras, rows, rows))


def test_a_hidden_token_is_not_seen_where_it_is_rebuilt() -> None:
    torch.manual_seed(0)
    fusion = network().eval()
    tokens = {name: Tokens(torch.randn(2, slots or 3, width), torch.ones(2, slots or 3, dtype=torch.bool))
              for name, (width, slots) in SHAPES.items()}  # fmt: skip
    present, rows = torch.ones(2, 4, dtype=torch.bool), torch.arange(2)
    hidden = torch.tensor([[True, False, False], [False, False, True]])
    changed = tokens["b"].values.clone()
    changed[hidden] += 5
    with torch.no_grad():
        found = [
            fusion.rebuilt(fusion({**tokens, "b": Tokens(own, tokens["b"].mask)}, present).extras, rows, hidden)
            for own in (tokens["b"].values, changed)
        ]
    assert torch.equal(*found)
