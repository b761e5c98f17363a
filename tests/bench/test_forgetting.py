"""What fine-tuning taught and cost is told with intervals; weights in between end at those of the models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from chiasm.bench.figures import ACCURACY
from chiasm.bench.forgetting import along, forgetting
from chiasm.bench.item import Item
from chiasm.bench.marks import Marks, chosen
from chiasm.merging.wise_ft import interpolate

N = 200


def items(suite: str) -> tuple[Item, ...]:
    return tuple(Item(f"{suite}{k}", f"Question {k} of {suite}?", ("no", "yes"), (k % 2,)) for k in range(N))


def marks(suite: str, share: float) -> Marks:
    """Right on the first share of the items."""
    own = items(suite)
    return chosen(own, [item.positions[0] if k < share * N else 1 - item.positions[0] for k, item in enumerate(own)])


def test_gain_and_loss_are_told_apart() -> None:
    runs = {
        "learned": (ACCURACY, marks("a", 0.5), marks("a", 0.9)),
        "held-1": (ACCURACY, marks("b", 0.8), marks("b", 0.6)),
        "held-2": (ACCURACY, marks("c", 0.7), marks("c", 0.7)),
    }
    found = forgetting(runs, ["learned"])
    assert found.gain[0] == pytest.approx(0.4) and found.gain[1] > 0.3
    assert found.loss[0] == pytest.approx(-0.1) and found.loss[2] < 0
    assert found.table["side"].tolist() == ["learned", "held", "held"]
    assert found.table["difference"].tolist() == pytest.approx([0.4, -0.2, 0.0])
    assert "trained for the difference is +0.400" in found.sentence and "worse than before" in found.sentence
    same = forgetting({"a": runs["learned"], "b": (ACCURACY, marks("b", 0.8), marks("b", 0.8))}, ["a"])
    assert same.loss == (0, 0, 0) and "cannot tell" in same.sentence


def test_what_cannot_be_compared_is_refused() -> None:
    pair = (ACCURACY, marks("a", 0.5), marks("a", 0.9))
    with pytest.raises(ValueError, match="every suite was trained for"):
        forgetting({"a": pair}, ["a"])
    with pytest.raises(ValueError, match="no run of 'b'"):
        forgetting({"a": pair}, ["b"])
    with pytest.raises(ValueError, match="other items before than after"):
        forgetting({"a": (ACCURACY, marks("a", 0.5), marks("b", 0.5))}, [])


def test_the_ends_of_the_way_are_the_models_to_the_bit_and_forgetting_grows_along_it() -> None:
    """A base that knows suite a, tuned to suite b, which asks for the other sign: between them lies the trade."""
    torch.manual_seed(0)
    base = {"weight": torch.tensor([[1.0, 0.31]]), "bias": torch.tensor([0.1])}
    tuned = {"weight": torch.tensor([[0.07, 1.0]]), "bias": torch.tensor([-0.2])}
    asked = {name: torch.randn(N, 2) for name in ("a", "b")}

    def answered(alpha: float) -> Mapping[str, Marks]:
        state = interpolate(base, tuned, alpha)
        if alpha in (0, 1):
            assert all(torch.equal(state[key], (base, tuned)[int(alpha)][key]) for key in state)
        found = {}
        for column, (name, points) in enumerate(asked.items()):
            truth = (points[:, column] > 0).long()
            own = tuple(Item(f"{name}{k}", f"Question {k}?", ("no", "yes"), (int(t),)) for k, t in enumerate(truth))
            said = (points @ state["weight"].T + state["bias"] > 0).long()[:, 0]
            found[name] = chosen(own, said.tolist())
        return found

    table = along([0.5, 0.25], answered, {"a": ACCURACY, "b": ACCURACY}, draws=100)
    assert sorted(set(table["alpha"])) == [0, 0.25, 0.5, 1]
    values = table.pivot(index="alpha", columns="suite", values="value")
    assert values.loc[0, "a"] > 0.85 > values.loc[1, "a"] and values.loc[1, "b"] > 0.85 > values.loc[0, "b"]
    assert values["a"].is_monotonic_decreasing and values["b"].is_monotonic_increasing
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    assert np.isfinite(table["high"]).all()
    with pytest.raises(ValueError, match="between 0"):
        along([1.5], answered, {"a": ACCURACY, "b": ACCURACY})
