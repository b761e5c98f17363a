"""One contrast with soft targets equals CLIP, UniCL, SupCon and SigLIP as they are written, and counts pairs alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from chiasm.objectives.contrastive import contrast, pairwise, same_class

GENERATOR = torch.Generator().manual_seed(0)


def unit(n: int, width: int = 5) -> torch.Tensor:
    return functional.normalize(torch.randn(n, width, generator=GENERATOR, dtype=torch.float64), dim=1)


ONE, OTHER, SCALE = unit(7), unit(7), torch.tensor(4.0, dtype=torch.float64)
CODES = torch.tensor([0, 1, 0, 2, 1, 0, -1])


def test_without_targets_it_is_clip() -> None:
    logits, own = 4.0 * ONE @ OTHER.T, torch.arange(7)
    wanted = (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
    torch.testing.assert_close(contrast(ONE, OTHER, SCALE), wanted)
    torch.testing.assert_close(contrast(ONE, OTHER, SCALE, targets=torch.eye(7)), wanted)


def test_with_the_targets_of_classes_it_is_unicl() -> None:
    total = 0.0
    for logits in (4.0 * ONE @ OTHER.T, 4.0 * OTHER @ ONE.T):
        for i in range(7):
            mates = [j for j in range(7) if j == i or CODES[j] == CODES[i] >= 0]
            total -= sum(torch.log_softmax(logits[i], 0)[j] for j in mates) / len(mates) / 7 / 2
    torch.testing.assert_close(contrast(ONE, OTHER, SCALE, targets=same_class(CODES)), total)


def test_without_self_it_is_the_outer_loss_of_supcon() -> None:
    total, count = 0.0, 0
    for i in range(7):
        others = [j for j in range(7) if j != i]
        mates = [j for j in others if CODES[j] == CODES[i] >= 0]
        said = torch.log_softmax(4.0 * ONE[others] @ ONE[i], 0)
        total -= sum(said[others.index(j)] for j in mates) / max(len(mates), 1)
        count += bool(mates)
    found = contrast(ONE, ONE, SCALE, targets=same_class(CODES), without_self=True)
    torch.testing.assert_close(found, total / count)
    for alone in (unit(1), ONE):  # nobody to compare with, and nobody of the same class
        own = alone.clone().requires_grad_()
        loss = contrast(own, own, SCALE, without_self=True)
        loss.backward()
        assert loss.item() == 0.0 and torch.equal(own.grad, torch.zeros_like(own))


def test_siglip_judges_each_pair_by_itself() -> None:
    bias, signs = torch.tensor(-3.0, dtype=torch.float64), 2 * torch.eye(7, dtype=torch.float64) - 1
    wanted = -functional.logsigmoid(signs * (4.0 * ONE @ OTHER.T - 3.0)).sum() / 7
    torch.testing.assert_close(contrast(ONE, OTHER, SCALE, sigmoid=True, bias=bias), wanted)


@pytest.mark.parametrize("options", [{}, {"sigmoid": True}, {"targets": same_class(CODES)}], ids=str)
def test_only_patients_who_have_both_count(options: dict[str, torch.Tensor]) -> None:
    here = torch.tensor([True, False, True, True, False, True, False])
    behind = torch.where(here[:, None], ONE, float("nan")).requires_grad_()
    loss = contrast(behind, OTHER, SCALE, here=here, **options)
    loss.backward()
    few = {key: own[here][:, here] if isinstance(own, torch.Tensor) else own for key, own in options.items()}
    torch.testing.assert_close(loss, contrast(ONE[here], OTHER[here], SCALE, **few))
    assert bool((behind.grad[~here] == 0).all()) and bool(torch.isfinite(behind.grad).all())
    nobody = contrast(behind, OTHER, SCALE.requires_grad_(), here=torch.zeros(7, dtype=torch.bool), **options)
    behind.grad = None
    nobody.backward()
    assert nobody.item() == 0.0 and torch.equal(behind.grad, torch.zeros_like(behind))


def test_pairs_of_three_modalities_are_summed_over_those_who_have_them() -> None:
    vectors = torch.stack([ONE, OTHER, unit(7)], 1)
    present = torch.tensor([[1, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()
    wanted = sum(
        contrast(vectors[rows, a], vectors[rows, b], SCALE)
        for a, b in ((0, 1), (0, 2), (1, 2))
        if len(rows := torch.nonzero(present[:, a] & present[:, b])[:, 0])
    )
    torch.testing.assert_close(pairwise(vectors, present, SCALE), wanted)
    assert pairwise(vectors[:, :1], present[:, :1], SCALE).item() == 0.0


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        contrast(ONE, OTHER[:3], SCALE)
    with pytest.raises(ValueError, match="there are 7 patients"):
        contrast(ONE, OTHER, SCALE, targets=torch.eye(6))
