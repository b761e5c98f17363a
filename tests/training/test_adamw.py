"""AdamW is that of torch to the last bit, goes on from what was stored, and imports no compiler."""

from __future__ import annotations

import builtins
import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from chiasm.training.adamw import AdamW
from small_recipes import mixed, small

GROUPS = ({"lr": 0.03}, {"weight_decay": 0.0, "scale": 0.5})


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def groups(model: nn.Sequential) -> list[dict[str, object]]:
    return [{**options, "params": list(own.parameters())} for options, own in zip(GROUPS, model[::2], strict=True)]


def learn(model: nn.Sequential, optimiser: AdamW | torch.optim.Optimizer, steps: range) -> None:
    for number in steps:
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(number))
        optimiser.zero_grad()
        output = model(x) if number % 3 else model[:1](x)  # the second layer has no gradient in every third step
        output.square().sum().backward()
        for group in optimiser.param_groups:
            group["lr"] *= 0.9
        optimiser.step()


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("fused", [True, False])
def test_weights_are_those_of_torch_bit_for_bit(fused: bool) -> None:
    ours, theirs = network(), network()
    learn(ours, AdamW(groups(ours), lr=0.01, weight_decay=0.1, fused=fused), range(9))
    learn(theirs, torch.optim.AdamW(groups(theirs), lr=0.01, weight_decay=0.1, fused=fused), range(9))
    assert same(ours, theirs) and not same(ours, network())


def test_restored_it_goes_on_as_if_it_had_not_stopped() -> None:
    whole, part = network(), network()
    learn(whole, AdamW(groups(whole), lr=0.01, weight_decay=0.1, fused=True), range(8))
    first = AdamW(groups(part), lr=0.01, weight_decay=0.1, fused=True)
    learn(part, first, range(4))
    again = AdamW(groups(part), lr=0.01, weight_decay=0.1, fused=True)
    again.restore(copy.deepcopy(first.moments))
    for new, old in zip(again.param_groups, first.param_groups, strict=True):
        new["lr"] = old["lr"]
    learn(part, again, range(4, 8))
    assert same(whole, part)


def test_a_parameter_in_two_groups_is_refused() -> None:
    own = list(network().parameters())
    with pytest.raises(ValueError, match="in two groups"):
        AdamW([{"params": own}, {"params": own[:1]}], lr=0.01, weight_decay=0.0)


def test_no_compiler_is_asked_for_by_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = [], builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *more: (asked.append(name), real(name, *more))[1])
    small("healnet").fit(mixed("regression"), seed=0)
    assert asked and not [name for name in asked if name.startswith(("torch._dynamo", "sympy"))]


@pytest.mark.nightly
def test_a_network_is_fitted_without_a_compiler() -> None:
    """`torch._dynamo` takes more than a second of each process that has no use for it."""
    code = (
        "import sys\nimport chiasm\n"
        "cohort = chiasm.synthetic_cohort('complementary', 40)\n"
        "chiasm.fit(cohort, 'healnet:epochs=1,latents=2,latent_width=4,heads=1')\n"
        "print([name for name in ('torch._dynamo', 'sympy') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
