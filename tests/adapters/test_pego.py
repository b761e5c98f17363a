"""The penalty of PEGO against the formula by hand, and what it does to a group."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bases import BASES
from chiasm.adapters import IA3, LoRA, PeftAttached, attach, orthogonality


def first(name: str, module: nn.Module) -> bool:
    return name == "0"


def group(groups: int = 2, rank: int = 1) -> PeftAttached:
    model = nn.Sequential(nn.Linear(6, 4, bias=False))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].weight[:, :2] = torch.arange(8.0).reshape(4, 2) + 1
    return attach(model, LoRA(rank=rank, groups=groups), first)


def put(attached: PeftAttached, rows: dict[str, list[float]], b: float = 1.0) -> None:
    with torch.no_grad():
        for name, parameter in attached.named_parameters():
            key = name.split(".")[2]
            parameter.copy_(torch.tensor([rows[key]]) if "lora_A" in name else torch.full_like(parameter, b))


APART = {"default": [0, 0, 1, 0, 0, 0], "group-1": [0, 0, 0, 1, 0, 0]}


def test_orthogonal_pairs_cost_nothing_and_a_sign_does_not_matter() -> None:
    attached = group()
    put(attached, APART)
    assert orthogonality(attached).item() == 0
    put(attached, {**APART, "group-1": [0, 0, 2, 1, 0, 0]})
    cost = orthogonality(attached).item()
    put(attached, {**APART, "group-1": [0, 0, -2, -1, 0, 0]})
    assert cost == pytest.approx(orthogonality(attached).item()) and cost == pytest.approx(4 * 4 * 2)


def test_twins_and_rows_of_the_base_cost() -> None:
    attached = group()
    put(attached, {**APART, "group-1": APART["default"]})
    assert orthogonality(attached).item() == pytest.approx(16)
    put(attached, {**APART, "group-1": [1, 0, 0, 0, 0, 0]})
    assert orthogonality(attached).item() == pytest.approx(4 * (1 + 3 + 5 + 7))


@pytest.mark.parametrize("kind", ["Linear", "Conv2d-whole"])
def test_the_penalty_is_the_formula(kind: str) -> None:
    base = BASES[kind]
    attached = attach(base.model(), LoRA(rank=2, groups=3), base.where)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.normal_()
    state, expected = attached.state(), 0.0
    for site in base.sites:
        deltas = [
            state[f"{site}.lora_B.{key}.weight"].flatten(1) @ state[f"{site}.lora_A.{key}.weight"].flatten(1)
            for key in ("default", "group-1", "group-2")
        ]
        weight = base.model().get_submodule(site).weight.detach().flatten(1)
        expected += sum(float((weight @ delta.T).abs().sum()) for delta in deltas)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            expected += float((deltas[i] @ deltas[j].T).abs().sum())
    assert orthogonality(attached).item() == pytest.approx(expected, rel=1e-5)


def test_only_the_pairs_get_a_gradient_and_the_overlap_falls() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2)), torch.randn(64, 8)
    y = torch.stack([x[:, 0], x[:, 1] * x[:, 2]], 1)
    found = {}
    for weight in (0.0, 1e-2):
        attached = attach(model, LoRA(rank=2, groups=2), first)
        optimiser = torch.optim.Adam(attached.parameters(), lr=0.02)
        for _ in range(60):
            optimiser.zero_grad()
            loss = (model(x) - y).square().mean()
            (loss + weight * orthogonality(attached)).backward()
            optimiser.step()
        assert all(tensor.grad is None for tensor in attached.base[2].parameters())
        found[weight] = (loss.item(), orthogonality(attached).item())
        attached.remove()
    assert found[1e-2][1] < 0.7 * found[0.0][1] and found[1e-2][0] < 1.5 * found[0.0][0]


def test_an_adapter_without_pairs_is_named() -> None:
    attached = attach(nn.Sequential(nn.Linear(6, 4)), IA3(), first)
    with pytest.raises(ValueError, match="'0' carries no pair"):
        orthogonality(attached)
