"""Rates that fall by layer in closed form, and a loss that counts classes alike against scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.training.balanced import Balanced
from chiasm.training.examples import TargetTensors
from chiasm.training.layer_rates import layer_rates
from chiasm.training.layers import falling_rates, layers_of


@pytest.mark.parametrize("network", ["vit", "conv"])
def test_each_layer_learns_at_the_decay_to_the_power_of_those_above(network: str) -> None:
    made = untrained(RasterConfig(network=network, size=16, patch=8, width=8, depth=3, heads=2))
    decay, top = 0.5, 4
    scale = {id(p): own["scale"] for own in falling_rates(made, decay, 0.0) for p in own["params"]}  # type: ignore[attr-defined]
    assert len(scale) == len(list(made.parameters()))
    for name, parameter in made.named_parameters():
        layer = next((int(part) + 1 for part in name.split(".") if part.isdigit()), None)
        depth = layer if layer is not None else top if name.startswith("norm.") else 0
        assert scale[id(parameter)] == decay ** (top - depth), name


def test_lists_of_layers_go_together_or_are_refused() -> None:
    network = nn.ModuleDict(
        {"a": nn.ModuleList(nn.Linear(2, 2) for _ in range(3)), "b": nn.ModuleList([nn.Linear(2, 2)])}
    )
    assert layers_of(network) == (("a",), ())
    with pytest.raises(ValueError, match="different lengths"):
        layer_rates(network, ("a", "b"), stem=(), rate=1.0, decay=0.5)
    with pytest.raises(ValueError, match="stand in no list"):
        layers_of(nn.Linear(2, 2))


def test_the_balanced_loss_has_the_solution_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    codes = rng.choice(3, 200, p=[0.75, 0.2, 0.05])
    x = rng.normal(size=(200, 2)) + codes[:, None]
    known = LogisticRegression(class_weight="balanced", C=1.0, tol=1e-8, max_iter=1000).fit(x, codes)
    values, target = torch.from_numpy(x), TargetTensors(torch.from_numpy(codes).float(), torch.zeros(200))
    objective, weight = Balanced(target.value, 3), torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")
    none: Any = SimpleNamespace(target=target)

    def closure() -> torch.Tensor:
        solver.zero_grad()
        (own,) = objective.losses(none, none, values @ weight.T + bias, none).values()
        loss = 200 * own + weight.square().sum() / 2
        loss.backward()
        return loss

    solver.step(closure)
    np.testing.assert_allclose(weight.detach(), known.coef_, atol=1e-4)
    held_out = objective.validated(none, (values @ weight.T + bias).detach(), target)
    assert held_out == pytest.approx(float(closure().detach() - weight.detach().square().sum() / 2) / 200, rel=1e-6)


def test_of_labels_yes_counts_as_much_as_no() -> None:
    value = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, float("nan")]])
    none: Any = SimpleNamespace(target=TargetTensors(value, torch.zeros(4)))
    (loss,) = Balanced(value, 2).losses(none, none, torch.zeros(4, 2), none).values()
    assert float(loss) == pytest.approx(np.log(2))  # the weights have a mean of one
