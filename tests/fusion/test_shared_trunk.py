"""The shared trunk: a subset is the trunk with the other tokens dropped; classes that are added, and free ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from chiasm.fusion.shared_trunk import SharedTrunk, UniPerceiver, cosine_logits
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens

SHAPES = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}


def batch(n: int = 4) -> dict[str, Tokens]:
    generator = torch.Generator().manual_seed(0)
    found = {}
    for name, (width, slots) in SHAPES.items():
        values = torch.randn(n, slots or 6, width, generator=generator)
        found[name] = Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))
    return found


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: SharedTrunk(shapes, latent_width=8, heads=2), SHAPES)
    check_fusion(lambda shapes: UniPerceiver(shapes, outputs=3, latent_width=8, heads=2), SHAPES)


def test_a_subset_is_the_trunk_with_the_other_tokens_dropped() -> None:
    torch.manual_seed(0)
    trunk = SharedTrunk(SHAPES, latent_width=8, heads=2).double().eval()
    tokens = {name: Tokens(own.values.double(), own.mask) for name, own in batch().items()}
    present = torch.tensor([True, False, True]).expand(4, -1)
    found = trunk(tokens, present).embedding
    hidden, mask = trunk.tokenise(tokens, torch.ones(4, 3, dtype=torch.bool))
    kept = [*range(3), *range(9, 14)]  # the tokens of b stand between those of a and c
    expected, _ = trunk.reader(hidden[:, kept], mask[:, kept])
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    assert not torch.allclose(found, trunk.reader(hidden, mask)[0])


def test_a_class_that_is_added_leaves_the_other_logits_as_they_were() -> None:
    torch.manual_seed(0)
    fusion = UniPerceiver(SHAPES, outputs=3, latent_width=8, heads=2).eval()
    present = torch.ones(4, 3, dtype=torch.bool)
    before = fusion(batch(), present).embedding
    fusion.classes = nn.Parameter(torch.cat([fusion.classes, torch.randn(1, 8)]))
    fusion.bias = nn.Parameter(torch.cat([fusion.bias, torch.ones(1)]))
    after = fusion(batch(), present).embedding
    assert after.shape == (4, 4)
    torch.testing.assert_close(after[:, :3], before, atol=1e-6, rtol=0)


def test_logits_are_cosines_over_the_temperature_whatever_the_lengths() -> None:
    e, w = torch.randn(5, 8), torch.randn(3, 8)
    expected = torch.stack([nn.functional.cosine_similarity(e, own[None]) for own in w], 1) / 0.2
    torch.testing.assert_close(cosine_logits(e, w, 0.2), expected)
    torch.testing.assert_close(cosine_logits(3 * e, 0.5 * w, 0.2), expected)


def test_free_classes_are_a_linear_head_on_the_embedding_at_unit_length() -> None:
    torch.manual_seed(0)
    fusion = UniPerceiver(SHAPES, outputs=3, free=True, latent_width=8, heads=2).eval()
    fused = fusion(batch(), torch.ones(4, 3, dtype=torch.bool))
    head = nn.Linear(8, 3)
    head.weight.data, head.bias.data = fusion.classes.data, fusion.bias.data
    torch.testing.assert_close(fused.embedding, head(nn.functional.normalize(fused.extras["embedding"], dim=1)))


@pytest.mark.parametrize("free", [False, True])
def test_upon_another_model_it_starts_with_links_of_zero(free: bool) -> None:
    fusion = UniPerceiver(SHAPES, outputs=1, free=free, latent_width=8, heads=2).eval()
    present = torch.ones(4, 3, dtype=torch.bool)
    assert fusion(batch(), present).embedding.abs().min() > 0
    fusion.start_at_zero()
    assert torch.equal(fusion(batch(), present).embedding, torch.zeros(4, 1))
