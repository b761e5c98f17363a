"""Optimal transport fusion: hidden units are matched, outputs never move, and the laws of merging hold."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

pytest.importorskip("ot")

from chiasm.merging import merge_models
from chiasm.merging.transport import transport_mean, transport_plan
from layer_states import assert_same

State = dict[str, Tensor]
CHAIN = ("one", "two", "out")
laws = settings(max_examples=10, deadline=None)


def network(seed: int, hidden: tuple[int, int] = (5, 4), bias: bool = True) -> State:
    generator = torch.Generator().manual_seed(seed)
    widths = (3, *hidden, 2)
    state: State = {}
    for name, before, after in zip(CHAIN, widths, widths[1:], strict=False):
        state[f"{name}.weight"] = torch.randn(after, before, generator=generator, dtype=torch.float64)
        if bias:
            state[f"{name}.bias"] = torch.randn(after, generator=generator, dtype=torch.float64)
    return state


def run(state: State, x: Tensor) -> Tensor:
    for name in CHAIN:
        x = torch.nn.functional.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))
        x = x if name == "out" else x.relu()
    return x


def permuted(state: State, seed: int) -> State:
    """The same function, its hidden units in another order."""
    generator = torch.Generator().manual_seed(seed)
    out, before = {}, None
    for name in CHAIN:
        weight = state[f"{name}.weight"] if before is None else state[f"{name}.weight"][:, before]
        before = torch.arange(len(weight)) if name == "out" else torch.randperm(len(weight), generator=generator)
        out[f"{name}.weight"] = weight[before]
        if f"{name}.bias" in state:
            out[f"{name}.bias"] = state[f"{name}.bias"][before]
    return out


INPUTS = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@laws
@given(seed=st.integers(0, 10**6), bias=st.booleans())
def test_networks_that_differ_in_the_order_of_hidden_units_are_one(seed: int, bias: bool) -> None:
    a = network(seed, bias=bias)
    b = permuted(a, seed + 1)
    merged = transport_mean([a, b], [1.0, 1.0], CHAIN)
    torch.testing.assert_close(run(merged, INPUTS), run(a, INPUTS))
    assert float((run(merge_models([a, b]), INPUTS) - run(a, INPUTS)).abs().max()) > 1e-3


@laws
@given(seed=st.integers(0, 10**6), weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=4))
def test_one_model_and_a_model_with_itself_are_itself(seed: int, weights: list[float]) -> None:
    a = network(seed)
    assert_same(transport_mean([a] * len(weights), weights, CHAIN), a)


@laws
@given(seed=st.integers(0, 10**6))
def test_the_endpoints_are_the_models(seed: int) -> None:
    a, b = network(seed), network(seed + 1)
    assert_same(transport_mean([a, b], [1.0, 0.0], CHAIN), a)
    assert_same(transport_mean([a, b], [0.0, 1.0], CHAIN), b)


@laws
@given(seed=st.integers(0, 10**6), equal=st.booleans())
def test_the_order_of_models_with_their_weights_does_not_matter(seed: int, equal: bool) -> None:
    states, weights = [network(seed + k) for k in range(3)], [1.0] * 3 if equal else [0.5, 2.0, 1.0]
    expected = transport_mean(states, weights, CHAIN)
    for order in itertools.permutations(range(3)):
        assert_same(transport_mean([states[k] for k in order], [weights[k] for k in order], CHAIN), expected)


def test_every_model_counts_and_inputs_stay() -> None:
    states = [network(k) for k in range(4)]
    merged = transport_mean(states, [1.0] * 4, CHAIN)
    for k in range(4):
        changed = transport_mean([network(9) if k == j else own for j, own in enumerate(states)], [1.0] * 4, CHAIN)
        assert float((run(changed, INPUTS) - run(merged, INPUTS)).abs().max()) > 1e-3
        assert_same(states[k], network(k), exact=True)


def test_zero_and_parallel_networks_are_never_nan() -> None:
    a = network(0)
    zero = {key: torch.zeros_like(value) for key, value in a.items()}
    twice = {key: -2 * value for key, value in a.items()}
    for states in ([zero, zero], [zero, a], [a, twice], [a, zero, twice]):
        merged = transport_mean(states, [1.0] * len(states), CHAIN)
        assert all(bool(torch.isfinite(value).all()) for value in merged.values())


def test_classes_are_never_mixed() -> None:
    """A head alone is one layer: its rows are classes, and even rows in another order are not matched."""
    a = {"out.weight": torch.eye(3), "out.bias": torch.zeros(3)}
    b = {"out.weight": torch.eye(3).flip(0), "out.bias": torch.zeros(3)}
    assert_same(transport_mean([a, b], [1.0, 1.0], ["out"]), merge_models([a, b]))


def test_a_network_whose_units_were_split_is_the_same_network() -> None:
    """Each hidden unit of the first layer twice, with half of what it sent on."""
    a = network(3)
    wide = {
        **a,
        "one.weight": a["one.weight"].repeat(2, 1),
        "one.bias": a["one.bias"].repeat(2),
        "two.weight": a["two.weight"].repeat(1, 2) / 2,
    }
    torch.testing.assert_close(run(wide, INPUTS), run(a, INPUTS))
    for weights in ([2.0, 1.0], [1.0, 2.0]):
        merged = transport_mean([a, wide], weights, CHAIN)
        assert merged["one.weight"].shape[0] == (5 if weights[0] == 2 else 10)
        torch.testing.assert_close(run(merged, INPUTS), run(a, INPUTS))


def test_a_plan_keeps_its_marginals_and_is_the_cheapest() -> None:
    cost = torch.rand(4, 4, generator=torch.Generator().manual_seed(0))
    plan = transport_plan(cost)
    torch.testing.assert_close(plan.sum(0), torch.full((4,), 0.25, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), torch.full((4,), 0.25, dtype=torch.float64))
    best = min(sum(float(cost[i, j]) for i, j in enumerate(order)) for order in itertools.permutations(range(4)))
    assert float((plan * cost).sum()) == pytest.approx(best / 4)


def test_what_does_not_fit_is_refused() -> None:
    a = network(0)
    for states, chain, message in (
        ([], CHAIN, "no model"),
        ([a], ("one", "out"), "'two.bias' does not fit the chain"),
        ([a], ("one", "out", "two"), "'out.weight' of model 1 is .* does not follow"),
        ([a, network(1, bias=False)], CHAIN, "same layers"),
        ([a, {key: value.float() for key, value in a.items()}], CHAIN, "dtypes"),
    ):
        with pytest.raises(ValueError, match=message):
            transport_mean(states, [1.0] * len(states), chain)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ModuleNotFoundError, match=r"chiasm\[transport\]"):
        transport_mean([network(0), network(1)], [1.0, 1.0], CHAIN)
