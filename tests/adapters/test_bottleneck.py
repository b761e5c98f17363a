"""Bottleneck adapters: what released codes got wrong, and the formula by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bases import BASES
from chiasm.adapters import Bottleneck, attach

KINDS = {"Linear": 0, "Conv1d": 1, "Conv2d": 2, "Conv3d": 3}


def fit_steps(options: Bottleneck, kind: str, steps: int) -> dict[str, float]:
    """Size of each parameter's gradient after `steps` steps."""
    base = BASES[kind]
    model = base.model()
    attached = attach(model, options, lambda name, module: name == base.sites[0])
    optimiser = torch.optim.SGD(attached.parameters(), lr=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        (model(base.input()) - 1).square().sum().backward()
        optimiser.step()
    return {name.split("/")[1]: float(value.grad.abs().sum()) for name, value in attached.named_parameters()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parallel", [False, True])
def test_both_maps_learn_from_the_second_step_on(kind: str, parallel: bool) -> None:
    """Both maps at zero leave a bias to learn and nothing else (released code of PETL of AST)."""
    options = Bottleneck(4, dims=KINDS[kind], layout="last" if kind == "Linear" else "first", parallel=parallel)
    sizes = fit_steps(options, kind, 2)
    assert all(size > 0 for size in sizes.values()), sizes


@pytest.mark.parametrize(("name", "options"), [("conv", Bottleneck(4, dims=1)), ("norm", Bottleneck(4, norm=True))])
def test_the_convolution_and_the_norm_reach_the_output(name: str, options: Bottleneck) -> None:
    """Released codes compute a convolution, or a norm, and go on with what was before it."""
    base = BASES["LayerNorm"]
    x = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    model = base.model()
    attached = attach(model, options, base.where)
    part = attached.parts["1"]
    with torch.no_grad():
        part.up.weight.normal_()
        before = model(x)
        getattr(part, name).weight.add_(1)
        assert not torch.allclose(before, model(x), atol=1e-3)


def test_tokens_are_mixed_by_a_convolution_along_them_and_by_nothing_else() -> None:
    for options, reach in (
        (Bottleneck(4), {3}),
        (Bottleneck(4, dims=1), {2, 3, 4}),
        (Bottleneck(4, dims=1, kernel=1), {3}),
    ):
        model = nn.Sequential(nn.LayerNorm(5))
        attached = attach(model, options, lambda name, module: name == "0")
        with torch.no_grad():
            attached.parts["0"].up.weight.normal_()
        x = torch.randn(1, 7, 5, generator=torch.Generator().manual_seed(0))
        y = x.clone()
        y[0, 3] += torch.arange(5.0)
        differs = (model(x) != model(y)).any(-1)[0]
        assert set(differs.nonzero().flatten().tolist()) == reach


def test_the_residual_path_may_take_away_as_well_as_add() -> None:
    """An activation after the last map lets the path only add (released code of 3DSAM-adapter)."""
    model = nn.Sequential(nn.Identity())
    attached = attach(model, Bottleneck(8, channels=(4, 4)), lambda name, module: name == "0")
    with torch.no_grad():
        attached.parts["0"].up.weight.normal_()
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    change = model(x) - x
    assert (change < 0).any() and (change > 0).any()


@pytest.mark.parametrize("parallel", [False, True])
def test_the_output_is_the_formula(parallel: bool) -> None:
    layer = nn.Linear(5, 3)
    model = nn.Sequential(layer)
    options = Bottleneck(4, parallel=parallel, activation="relu", scale=0.5)
    part = attach(model, options, lambda name, module: name == "0").parts["0"]
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        part.up.weight.normal_()
        hidden = x if parallel else layer.weight.new_tensor(0) + F.linear(x, layer.weight, layer.bias)
        expected = F.linear(x, layer.weight, layer.bias) + 0.5 * (
            F.relu(hidden @ part.down.weight.T + part.down.bias) @ part.up.weight.T
        )
        torch.testing.assert_close(model(x), expected)


@pytest.mark.parametrize("before", [False, True])
def test_a_volume_passes_the_activation_before_and_after_its_convolution(before: bool) -> None:
    """3DSAM-adapter: `up(relu(conv(relu(down(x)))))`; without the option only the second one."""
    model = nn.Sequential(nn.Identity())
    options = Bottleneck(4, dims=3, activation="relu", channels=(5, 5), activation_before=before)
    part = attach(model, options, lambda name, module: name == "0").parts["0"]
    x = torch.randn(2, 3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        part.up.weight.normal_()
        hidden = F.linear(x, part.down.weight, part.down.bias)
        hidden = (F.relu(hidden) if before else hidden).movedim(-1, 1)
        hidden = F.conv3d(hidden, part.conv.weight, part.conv.bias, padding=1, groups=4).movedim(1, -1)
        torch.testing.assert_close(model(x), x + F.linear(F.relu(hidden), part.up.weight))
    with pytest.raises(ValueError, match="activation_before is for a path with a convolution"):
        Bottleneck(4, activation_before=True)


@pytest.mark.parametrize("residual", [None, True, False])
@pytest.mark.parametrize("parallel", [False, True])
def test_the_residual_is_the_formula(parallel: bool, residual: bool | None) -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    answer = model(x)
    options = Bottleneck(4, parallel=parallel, residual=residual)
    part = attach(model, options, lambda name, module: name == "0").parts["0"]
    with torch.no_grad():
        part.up.weight.normal_()
        hidden = x if parallel else answer
        path = F.gelu(hidden @ part.down.weight.T + part.down.bias) @ part.up.weight.T
        kept = answer if residual is not False or parallel else torch.zeros(())
        torch.testing.assert_close(model(x), path + kept + (x if parallel and residual else 0))


def test_a_pair_reads_what_the_first_takes_and_adds_to_what_the_second_gives() -> None:
    first, second = nn.Linear(5, 7), nn.Linear(7, 3)
    model = nn.Sequential(first, nn.ReLU(), second)
    x = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    answer = model(x)
    options = Bottleneck(4, parallel=True, activation="relu", pairs=(("0", "2"),))
    part = attach(model, options, lambda name, module: name in ("0", "2")).parts["2"]
    with torch.no_grad():
        part.up.weight.normal_()
        path = F.relu(x @ part.down.weight.T + part.down.bias) @ part.up.weight.T
        torch.testing.assert_close(model(x), answer + path)
    with pytest.raises(ValueError, match="not those that `pairs` names"):
        attach(nn.Sequential(first), options, lambda name, module: name == "0")
    with pytest.raises(ValueError, match="pairs of sites are for a path in parallel"):
        Bottleneck(pairs=(("0", "2"),))
    for wrong in (
        Bottleneck(parallel=True, residual=True, pairs=(("0", "2"),)),
        Bottleneck(parallel=True, residual=True),
    ):
        with pytest.raises(ValueError, match="residual=True cannot be"):
            attach(
                nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)), wrong, lambda name, _: name in ("0", "2")
            )


def test_a_gated_path_is_twice_as_wide_before_its_gate() -> None:
    part = attach(nn.Sequential(nn.Linear(5, 5)), Bottleneck(4, gate=True), lambda name, module: name == "0").parts["0"]
    assert part.down.out_features == 8 and part.up.in_features == 4


@pytest.mark.parametrize("options", [{"width": 0}, {"kernel": 2}, {"kernel": 0}])
def test_options_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Bottleneck(**options)


def test_sites_that_do_not_fit_are_named() -> None:
    with pytest.raises(ValueError, match=r"'0' is a Identity.*give `channels`"):
        attach(nn.Sequential(nn.Identity()), Bottleneck(), lambda name, module: name == "0")
    strided = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2))
    with pytest.raises(ValueError, match="'0' changes the grid"):
        attach(strided, Bottleneck(dims=2, layout="first", parallel=True), lambda name, module: name == "0")
    model = nn.Sequential(nn.LayerNorm(5))
    attach(model, Bottleneck(dims=2), lambda name, module: name == "0")
    with pytest.raises(ValueError, match="2 dimensions met a tensor of 3 axes"):
        model(torch.ones(2, 3, 5))
