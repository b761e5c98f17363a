"""BioD2C: the public check, gates of zero, and consistency that is zero only for the same profile."""

from __future__ import annotations

import torch

from chiasm.fusion.biod2c import BioD2C
from chiasm.objectives.queue_consistency import queue_consistency
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
    for base in SHAPES:
        check_fusion(lambda shapes, base=base: BioD2C(shapes, base=base, latent_width=8, heads=2), SHAPES)  # type: ignore[misc]


def test_gates_of_zero_leave_the_base_alone_and_others_do_not() -> None:
    torch.manual_seed(0)
    fusion = BioD2C(SHAPES, base="b", latent_width=8, heads=2, beta=0.0).eval()
    whole, alone = torch.ones(4, 3, dtype=torch.bool), torch.tensor([[False, True, False]]).expand(4, -1)
    assert torch.equal(fusion(batch(), whole).embedding, fusion(batch(), alone).embedding)
    fusion.betas.data.fill_(0.5)
    found, rest = fusion(batch(), whole).embedding, fusion(batch(), alone).embedding
    assert not torch.allclose(found, rest)
    fusion.betas.data.fill_(1.0)  # the residual grows as the gate does
    torch.testing.assert_close(
        (fusion(batch(), whole).embedding - rest) / torch.tensor(1.0).tanh(), (found - rest) / torch.tensor(0.5).tanh()
    )


def test_the_gate_learns_from_zero() -> None:
    fusion = BioD2C(SHAPES, base="b", latent_width=8, heads=2, beta=0.0)
    fusion(batch(), torch.ones(4, 3, dtype=torch.bool)).embedding.square().sum().backward()
    assert fusion.betas.grad is not None and bool((fusion.betas.grad != 0).all())


def test_consistency_is_the_divergence_of_profiles_and_zero_only_for_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, queue = (torch.randn(n, 8, generator=generator) for n in (5, 5, 20))
    unit = torch.nn.functional.normalize
    p, q = (torch.softmax(unit(own, dim=1) @ unit(queue, dim=1).T / 0.1, 1) for own in (a, b))
    torch.testing.assert_close(queue_consistency(a, b, queue), (p * (p.log() - q.log())).sum(1).mean())
    assert float(queue_consistency(a, 3 * a, queue)) < 1e-6 < float(queue_consistency(a, b, queue))
    assert float(queue_consistency(a, b, queue[:0])) == float(queue_consistency(a[:0], b[:0], queue)) == 0.0


def test_the_queue_has_no_gradient_and_both_sides_do() -> None:
    one, other, queue = (torch.randn(n, 8, requires_grad=True) for n in (5, 5, 20))
    queue_consistency(one, other, queue).backward()
    assert queue.grad is None
    assert one.grad is not None and bool(one.grad.any()) and other.grad is not None and bool(other.grad.any())
