"""DVPT: the queries reach the output, differ by sample, and are shared by groups of sites."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bases import BASES
from chiasm.adapters import Attached, DynamicPrompt, attach

BASE = BASES["TransformerEncoderLayer"]


def opened(options: DynamicPrompt, gate: float = 0.7) -> tuple[nn.Module, Attached]:
    model = BASE.model()
    attached = attach(model, options, BASE.where)
    with torch.no_grad():
        for part in attached.parts.values():
            part.gate.fill_(gate)
    return model, attached


def test_the_output_is_the_formula() -> None:
    attached = attach(nn.Sequential(nn.Linear(8, 8)), DynamicPrompt(3, 5), lambda name, module: name == "0")
    part, x = attached.parts["0"], torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        part.gate.fill_(0.5)
    shared, plain = part.shared, F.linear(x, attached.model[0].weight, attached.model[0].bias)
    for b in range(2):
        narrow = F.gelu(shared.down(x[b]))
        scores = shared.queries @ narrow.T / 5**0.5
        gathered = torch.softmax(scores, 1) @ narrow
        expected = plain[b] + 0.5 * shared.up(torch.softmax(scores, 0).T @ gathered)
        torch.testing.assert_close(attached.model(x)[b], expected)


def test_the_queries_reach_the_output() -> None:
    """The released code computes what the prompts attend to, and does not use it."""
    model, attached = opened(DynamicPrompt(3, 5))
    before = model(BASE.input())
    with torch.no_grad():
        attached.parts["layers.0"].shared.queries.add_(1)
    assert not torch.allclose(before, model(BASE.input()), atol=1e-4)
    with_queries, without = opened(DynamicPrompt(3, 5)), opened(DynamicPrompt(3, 5, attend=False))
    assert with_queries[1].count() == without[1].count() + 3 * 5
    assert not torch.allclose(with_queries[0](BASE.input()), without[0](BASE.input()), atol=1e-4)


def test_what_is_added_differs_by_sample() -> None:
    _, attached = opened(DynamicPrompt(3, 5))
    x = BASE.input()
    change = attached.parts["layers.0"].shared(x).flatten(1)
    assert torch.linalg.matrix_rank(change - change.mean(0)) > 1


@pytest.mark.parametrize(("share", "modules"), [(1, 2), (2, 1), (3, 1)])
def test_sites_that_follow_each_other_share_one_module_and_have_a_gate_each(share: int, modules: int) -> None:
    _, attached = opened(DynamicPrompt(3, 5, share))
    shared = {id(part.shared) for part in attached.parts.values()}
    assert len(shared) == modules
    assert attached.count() == modules * (8 * 5 + 5 + 5 * 8 + 8 + 3 * 5) + 2


def test_all_of_it_learns_from_the_second_step_on() -> None:
    model = BASE.model()
    attached = attach(model, DynamicPrompt(3, 5), BASE.where)
    optimiser = torch.optim.SGD(attached.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (model(BASE.input()) - 1).square().sum().backward()
        optimiser.step()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in attached.parameters())


def test_sites_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match="'0' takes 5 channels and gives 7"):
        attach(BASES["Linear"].model(), DynamicPrompt(), BASES["Linear"].where)
    with pytest.raises(ValueError, match="1 or more"):
        DynamicPrompt(share=0)
    model = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 6), nn.LayerNorm(6))
    with pytest.raises(ValueError, match="'2' has 6 channels and shares"):
        attach(model, DynamicPrompt(), lambda name, module: name in ("0", "2"))
