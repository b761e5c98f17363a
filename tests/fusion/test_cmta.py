"""CMTA and its transformer layer: the public check, the alignment's stopped gradient, and the own side where alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from chiasm.fusion.cmta import OWN, TRANSLATED, Cmta, alignment_loss
from chiasm.fusion.transformer import TransformerLayer
from chiasm.protocols import Fused
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
SIZES: dict[str, Any] = {"latent_width": 8, "heads": 2}


def batch(shapes: dict[str, tuple[int, int]], n: int = 6) -> tuple[dict[str, Tokens], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = {}
    for name, (width, slots) in shapes.items():
        values = torch.randn(n, slots or 4, width, generator=generator)
        tokens[name] = Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))
    return tokens, torch.ones(n, len(shapes), dtype=torch.bool)


def made(shapes: dict[str, tuple[int, int]] = SHAPES) -> Cmta:
    torch.manual_seed(0)
    return Cmta(shapes, **SIZES).eval()


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: Cmta(shapes, **SIZES), SHAPES)


def test_the_alignment_has_no_gradient_on_what_the_encoder_says_and_one_on_the_translation() -> None:
    fusion = made()
    fused = fusion(*batch(SHAPES))
    own = [fused.extras[OWN + name] for name in SHAPES]
    translated = [fused.extras[TRANSLATED + name] for name in SHAPES]
    loss = alignment_loss(fused)
    assert float(loss.detach()) > 0
    for gradient in torch.autograd.grad(loss, own, allow_unused=True, retain_graph=True):
        assert gradient is None or not gradient.abs().any()
    for gradient in torch.autograd.grad(loss, translated):
        assert bool(gradient.abs().any())


def test_the_alignment_is_the_mean_distance_and_zero_without_a_translation() -> None:
    fusion = made()
    tokens, present = batch(SHAPES)
    present[0] = torch.tensor([True, False, False])
    present[1, 2] = False
    fused = fusion(tokens, present)
    rows = {"a": [1, 2, 3, 4, 5], "b": [1, 2, 3, 4, 5], "c": [2, 3, 4, 5]}
    gaps = [(fused.extras[OWN + m] - fused.extras[TRANSLATED + m])[row].abs().mean() for m in rows for row in rows[m]]
    torch.testing.assert_close(alignment_loss(fused), torch.stack(gaps).mean())
    alone = torch.tensor([[True, False, False]]).expand(6, -1)
    assert float(alignment_loss(fusion(tokens, alone)).detach()) == 0.0
    assert float(alignment_loss(made({"a": (4, 3)})({"a": tokens["a"]}, alone[:, :1])).detach()) == 0.0


def test_what_is_alone_stands_for_itself_and_what_is_with_another_is_the_mean_of_both() -> None:
    fusion = made({"a": (4, 3), "b": (5, 0)})
    tokens, present = batch({"a": (4, 3), "b": (5, 0)})
    present[0, 1] = False
    fused = fusion(tokens, present)
    p, q = (fused.extras[kind + "a"] for kind in (OWN, TRANSLATED))
    parts = torch.cat([torch.cat([p[:1], (p[1:] + q[1:]) / 2]), torch.zeros(6, 8)], 1)
    parts[1:, 8:] = (fused.extras[OWN + "b"] + fused.extras[TRANSLATED + "b"])[1:] / 2
    torch.testing.assert_close(fused.embedding, fusion.map(parts))


def test_a_translation_reads_the_others_only_through_their_tokens() -> None:
    fusion = made()
    tokens, present = batch(SHAPES)
    moved = tokens | {"c": Tokens(tokens["c"].values + 1, tokens["c"].mask)}
    one, other = (fusion(own, present).extras for own in (tokens, moved))
    assert torch.equal(one[OWN + "a"], other[OWN + "a"])
    assert not torch.allclose(one[TRANSLATED + "a"], other[TRANSLATED + "a"])
    gone = present & torch.tensor([True, True, False])
    one, other = (fusion(own, gone).extras for own in (tokens, moved))
    assert torch.equal(one[TRANSLATED + "a"], other[TRANSLATED + "a"])


def test_a_layer_is_pre_norm_attention_written_out_and_leaves_alone_who_has_no_context() -> None:
    torch.manual_seed(0)
    layer = TransformerLayer(4, heads=2).double()
    hidden, context = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()
    mask = torch.tensor([[True, True, False, True, False], [False] * 5])
    found = layer.across(hidden, context, mask)
    query = layer.query(layer.read_norm(hidden))[0].unflatten(-1, (2, 2))
    key, value = (part[0].unflatten(-1, (2, 2)) for part in layer.key_value(layer.read_norm(context)).chunk(2, -1))
    share = torch.softmax((torch.einsum("the,she->hts", query, key) / 2**0.5).masked_fill(~mask[0], -torch.inf), -1)
    expected = hidden[0] + layer.out(torch.einsum("hts,she->the", share, value).flatten(1))
    expected = expected + layer.forward_layer(layer.norm(expected))
    torch.testing.assert_close(found[0], expected)
    assert torch.equal(found[1], hidden[1])
    with pytest.raises(ValueError, match="no multiple of heads=3"):
        TransformerLayer(4, heads=3)


def test_no_loss_is_found_in_what_another_fusion_says() -> None:
    assert float(alignment_loss(Fused(torch.ones(2, 3)))) == 0.0
