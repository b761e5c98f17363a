"""Contextual fusion under attack: a known step, one branch and both, and a penalty that holds a branch back."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import nn

from chiasm.fusion.attack import fgsm
from chiasm.fusion.contextual import ContextualFusion
from chiasm.protocols import EMBEDDING
from chiasm.testing import check_fusion
from chiasm.tokens import Tokens


def drawn(n: int, seed: int) -> tuple[dict[str, Tokens], torch.Tensor]:
    """Two branches that each know the label, the first one a little better."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(2, (n,), generator=generator)
    signs = (2.0 * label - 1)[:, None, None]
    mask = torch.ones(n, 1, dtype=torch.bool)
    branches = {
        name: Tokens(size * signs + torch.randn(n, 1, 8, generator=generator), mask)
        for name, size in (("fore", 0.6), ("back", 0.5))
    }
    return branches, label


@cache
def trained(names: tuple[str, ...], alpha: float) -> ContextualFusion:
    """A fusion of these branches after gradient descent, its first branch penalised by alpha."""
    tokens, label = drawn(400, 0)
    fusion = ContextualFusion(dict.fromkeys(names, (8, 1)), outputs=2)
    present = torch.ones(400, len(names), dtype=torch.bool)
    optimiser = torch.optim.LBFGS(fusion.parameters(), max_iter=60)

    def step() -> torch.Tensor:
        optimiser.zero_grad()
        link = fusion(tokens, present).embedding
        loss = nn.functional.cross_entropy(link, label) + 1e-3 * sum(
            own.weight.square().sum() for own in fusion.branches
        )
        loss = loss + alpha * fusion.weight("fore").square().sum()
        loss.backward()
        return loss

    optimiser.step(step)  # type: ignore[no-untyped-call]
    return fusion


def accuracy(fusion: ContextualFusion, attacked: tuple[str, ...] = (), strength: float = 0.4) -> float:
    """The accuracy on new patients whose branches are attacked."""
    tokens, label = drawn(2000, 1)
    present = torch.ones(2000, len(fusion.names), dtype=torch.bool)
    tokens = fgsm(
        tokens, attacked, strength, lambda own: nn.functional.cross_entropy(fusion(own, present).embedding, label)
    )
    with torch.no_grad():
        return float((fusion(tokens, present).embedding.argmax(1) == label).double().mean())


def test_it_passes_the_public_check() -> None:
    check_fusion(lambda shapes: ContextualFusion(shapes, outputs=3), {"a": (4, 3), "b": (5, 0), "c": (2, 5)})


def test_it_is_one_linear_map_of_the_concatenation() -> None:
    torch.manual_seed(0)
    fusion = ContextualFusion({"a": (2, 3), "b": (4, 0)}, outputs=3)
    for own in fusion.parameters():
        nn.init.normal_(own)
    tokens = {
        "a": Tokens(torch.randn(5, 3, 2), torch.ones(5, 3, dtype=torch.bool)),
        "b": Tokens(torch.randn(5, 6, 4), torch.ones(5, 6, dtype=torch.bool)),
    }
    joined = torch.cat([tokens["a"].values.flatten(1), tokens["b"].values.mean(1)], 1)
    whole = torch.cat([fusion.weight("a"), fusion.weight("b")], 1)
    fused = fusion(tokens, torch.ones(5, 2, dtype=torch.bool))
    torch.testing.assert_close(fused.embedding, joined @ whole.T + fusion.bias)
    torch.testing.assert_close(fused.extras[EMBEDDING], joined)
    without = fusion(tokens, torch.tensor([[False, True]] * 5)).extras[EMBEDDING]
    torch.testing.assert_close(without, torch.cat([torch.zeros(5, 6), joined[:, 6:]], 1))


def test_an_attack_moves_each_value_by_its_strength_against_the_label_and_nothing_else() -> None:
    fusion = trained(("back", "fore"), 0.0)
    tokens, label = drawn(6, 2)
    masked = {**tokens, "fore": Tokens(tokens["fore"].values, torch.tensor([[True]] * 5 + [[False]]))}
    present = torch.ones(6, 2, dtype=torch.bool)

    def loss(own: dict[str, Tokens]) -> torch.Tensor:
        return nn.functional.cross_entropy(fusion(own, present).embedding, label)

    fusion.zero_grad(set_to_none=True)
    moved = fgsm(masked, ["fore"], 0.1, loss)
    weight = fusion.weight("fore")
    against = torch.where(label[:, None] == 0, weight[1] - weight[0], weight[0] - weight[1]).sign()[:, None]
    against[5] = 0.0
    torch.testing.assert_close(moved["fore"].values, tokens["fore"].values + 0.1 * against.detach())
    assert moved["back"] is masked["back"]
    assert all(own.grad is None for own in fusion.parameters())
    for wrong, names in ((-1.0, ["fore"]), (0.1, ["elsewhere"])):
        with pytest.raises(ValueError, match=r"strength is|no tokens of"):
            fgsm(masked, names, wrong, loss)


def test_a_joint_model_loses_less_to_an_attack_on_one_branch_than_that_branch_alone_and_more_to_one_on_both() -> None:
    joint, alone = trained(("back", "fore"), 0.0), trained(("fore",), 0.0)
    lost = accuracy(joint) - accuracy(joint, ("fore",))
    assert 0 < lost < accuracy(alone) - accuracy(alone, ("fore",))
    assert accuracy(joint, ("back", "fore")) < accuracy(joint, ("fore",)) - 0.1


def test_a_larger_penalty_holds_the_branch_back_and_helps_when_it_is_attacked_but_not_when_both_are() -> None:
    models = [trained(("back", "fore"), alpha) for alpha in (0.0, 0.01, 0.1, 1.0)]
    sizes = [float(own.weight("fore").detach().norm()) for own in models]
    assert all(one > other for one, other in pairwise(sizes))
    attacked = [accuracy(own, ("fore",), 0.6) for own in models]
    assert all(one < other for one, other in pairwise(attacked))
    both = [accuracy(own, ("back", "fore"), 0.6) for own in models]
    assert all(one > other for one, other in pairwise(both))  # what is leaned on instead is attacked too
