"""A round of federated LoRA: the stack is exact, the controls are what the paper compares with, nobody is lost."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from chiasm.merging.lora_rounds import aggregate_lora, fold_lora, rank_of, resize_lora
from examples import examples

State = dict[str, Tensor]
SITES = {"first": (6, 5), "second": (7, 9)}
laws = settings(max_examples=examples(25), deadline=None)


def adapter(seed: int, rank: int, dtype: torch.dtype = torch.float64) -> State:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for site, (out, into) in SITES.items():
        found[f"{site}.lora_A.weight"] = torch.randn(rank, into, generator=generator, dtype=torch.float64).to(dtype)
        found[f"{site}.lora_B.weight"] = torch.randn(out, rank, generator=generator, dtype=torch.float64).to(dtype)
    return found


def product(state: State, site: str = "first") -> Tensor:
    return state[f"{site}.lora_B.weight"] @ state[f"{site}.lora_A.weight"]


def error(found: State, states: list[State], shares: list[float], site: str = "first") -> float:
    """Of the aggregate's product, relative to the weighted sum of the clients' products."""
    wanted = torch.stack([share * product(own, site) for share, own in zip(shares, states, strict=True)]).sum(0)
    return float((product(found, site) - wanted).norm() / wanted.norm())


@laws
@given(
    seed=st.integers(0, 10**6),
    clients=st.lists(st.tuples(st.integers(1, 8), st.integers(1, 10**6)), min_size=1, max_size=8),
)
def test_flora_is_the_weighted_sum_whatever_the_ranks_and_weights(seed: int, clients: list[tuple[int, int]]) -> None:
    states = [adapter(seed + k, rank) for k, (rank, _) in enumerate(clients)]
    total = sum(count for _, count in clients)
    found = aggregate_lora("flora", states, [count for _, count in clients])
    for site in SITES:
        assert error(found, states, [count / total for _, count in clients], site) < 1e-12
    assert rank_of(found) == sum(rank for rank, _ in clients)


def test_the_figures_of_the_paper_s_ranks() -> None:
    """Ten clients with its ranks: the stack at rounding, zero-padding and weights on both factors far off."""
    ranks, shares = [64, 32, 16, 16, 8, 8, 4, 4, 4, 4], [0.1] * 10
    generator = torch.Generator().manual_seed(0)
    states = [
        {
            "w.lora_A.weight": torch.randn(rank, 256, generator=generator, dtype=torch.float64),
            "w.lora_B.weight": torch.randn(256, rank, generator=generator, dtype=torch.float64),
        }
        for rank in ranks
    ]
    both = [{key: value * (0.1 if "lora_B" in key else 1.0) for key, value in own.items()} for own in states]
    errors = [
        error(aggregate_lora("flora", states, shares), states, shares, "w"),
        error(aggregate_lora("zero-pad", states, shares), states, shares, "w"),
        error(aggregate_lora("flora", both, shares), states, shares, "w"),
    ]
    assert errors[0] < 1e-12 and errors[1] > 0.5 and errors[2] > 0.5


@laws
@given(seed=st.integers(0, 10**6), count=st.integers(2, 6))
def test_the_controls_count_every_client(seed: int, count: int) -> None:
    """FLoRA's released FedIT keeps p_0 times the first client: `weighted_sindgle_weights`, a name written wrongly."""
    states, weights = [adapter(seed + k, 3) for k in range(count)], [1.0 + k for k in range(count)]
    for method in ("fedavg", "zero-pad"):
        found = aggregate_lora(method, states, weights)
        for key, value in found.items():
            wanted = sum(weight / sum(weights) * own[key] for own, weight in zip(states, weights, strict=True))
            torch.testing.assert_close(value, wanted)
            assert not torch.allclose(value, weights[0] / sum(weights) * states[0][key])
        for left_out in range(count):
            fewer = [own for k, own in enumerate(states) if k != left_out]
            part = aggregate_lora(method, fewer, [weight for k, weight in enumerate(weights) if k != left_out])
            assert not torch.allclose(product(part), product(found))


@laws
@given(seed=st.integers(0, 10**6))
def test_the_order_of_the_clients_does_not_matter(seed: int) -> None:
    states, weights = [adapter(seed + k, k + 1) for k in range(4)], [4.0, 1.0, 2.0, 3.0]
    for method in ("flora", "zero-pad"):
        one = aggregate_lora(method, states, weights)
        other = aggregate_lora(method, states[::-1], weights[::-1])
        torch.testing.assert_close(product(one), product(other))


def test_one_client_is_itself() -> None:
    own = adapter(0, 3)
    for method in ("flora", "fedavg", "zero-pad"):
        torch.testing.assert_close(product(aggregate_lora(method, [own], [7.0])), product(own))


def test_scalings_stand_in_the_stack() -> None:
    states = [adapter(0, 2), adapter(1, 3)]
    found = aggregate_lora("flora", states, [1.0, 1.0], [2.0, 4.0])
    torch.testing.assert_close(product(found), product(states[0]) + 2 * product(states[1]))


@laws
@given(seed=st.integers(0, 10**6), rank=st.integers(1, 6), more=st.integers(0, 4))
def test_padding_changes_no_product_and_cutting_keeps_the_first(seed: int, rank: int, more: int) -> None:
    own = adapter(seed, rank)
    wider = resize_lora(own, rank + more)
    torch.testing.assert_close(product(wider), product(own))
    for key, value in resize_lora(wider, rank).items():
        assert torch.equal(value, own[key])
    assert rank_of(resize_lora(own, 1)) == 1


def test_folding_is_the_network_with_the_adapter() -> None:
    weights = {"first.weight": torch.randn(6, 5), "first.bias": torch.randn(6), "second.weight": torch.randn(7, 9)}
    own = adapter(0, 3, torch.float32)
    found = fold_lora(weights, own, 2.0)
    x = torch.randn(4, 5)
    wanted = nn.functional.linear(x, weights["first.weight"]) + 2.0 * x @ product(own).T
    torch.testing.assert_close(nn.functional.linear(x, found["first.weight"]), wanted)
    assert torch.equal(found["first.bias"], weights["first.bias"]) and found["first.weight"].dtype == torch.float32
    assert list(found) == list(weights)


@pytest.mark.parametrize(
    ("method", "states", "message"),
    [
        ("mean", [adapter(0, 2)], "'mean' is not known: choose one of flora, fedavg, zero-pad"),
        ("fedavg", [adapter(0, 2), adapter(1, 3)], r"equal ranks, and they are \[2, 3\]"),
        ("flora", [], "no adapter"),
        ("zero-pad", [{"a.lora_A.weight": torch.zeros(2, 3)}], "without"),
    ],
)
def test_what_cannot_be_put_together(method: str, states: list[State], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        aggregate_lora(method, states, [1.0] * len(states))


def test_an_adapter_of_another_network_is_not_folded() -> None:
    with pytest.raises(ValueError, match="'second'"):
        fold_lora({"first.weight": torch.zeros(6, 5)}, adapter(0, 2))
    with pytest.raises(ValueError, match="not finite"):
        fold_lora({"first.weight": torch.zeros(6, 5)}, {k: v * 1e300 for k, v in adapter(0, 2).items() if "first" in k})
