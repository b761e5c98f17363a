"""Aligned modalities: the public check, unit vectors, stand-ins, and questions by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chiasm.fusion.aligned import AlignedModalities
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
PRODUCT: dict[str, Any] = {"product": True, "stand_ins": True}


def made(**options: Any) -> tuple[AlignedModalities, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fusion = AlignedModalities(SHAPES, 8, **options).eval()
        tokens = {
            name: Tokens(torch.randn(5, slots or 4, width), torch.ones(5, slots or 4, dtype=torch.bool))
            for name, (width, slots) in SHAPES.items()
        }
    present = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0]]).bool()
    with torch.no_grad():
        return fusion, fusion.vectors(tokens, present), present


@pytest.mark.parametrize("options", [{}, PRODUCT, {"product": True}], ids=str)
def test_it_passes_the_public_check(options: dict[str, Any]) -> None:
    check_fusion(lambda shapes: AlignedModalities(shapes, 8, **options), SHAPES)


def test_vectors_are_of_unit_length_and_zero_where_absent() -> None:
    _, vectors, present = made()
    torch.testing.assert_close(vectors.norm(dim=2), present.float())


def test_a_pair_asks_with_the_sum_of_what_is_given() -> None:
    fusion, vectors, present = made()
    found = fusion.question(vectors, present, 1)
    torch.testing.assert_close(found, vectors[:, 0] + vectors[:, 2])
    assert float(fusion.scale().detach()) == pytest.approx(1 / 0.07)


def test_a_tuple_asks_with_the_product_and_stand_ins_start_as_no_change() -> None:
    fusion, vectors, present = made(**PRODUCT)
    found = fusion.question(vectors, present, 1).detach()
    torch.testing.assert_close(found[0], vectors[0, 0] * vectors[0, 2])
    torch.testing.assert_close(found[1], vectors[1, 0] / 8**0.5)  # who lacks c asks with a alone
    torch.testing.assert_close(found[4], torch.full((8,), 1 / 8))
    assert float(fusion.scale().detach()) == pytest.approx(8**0.5 / 0.07, rel=1e-6)
    with torch.no_grad():
        fusion.stand_ins.mul_(3.0)  # only their direction counts
    torch.testing.assert_close(fusion.question(vectors, present, 1).detach(), found)
    assert "stand_ins" not in made(product=True)[0].state_dict()
