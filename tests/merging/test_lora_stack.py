"""FLoRA's stack is the weighted sum exactly, for any ranks; averaging or padding the factors is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from chiasm.merging.lora_stack import stack_lora, truncate_lora
from examples import examples

State = dict[str, Tensor]
A, B = "layer.lora_A.weight", "layer.lora_B.weight"
laws = settings(max_examples=examples(20), deadline=None)


def adapter(seed: int, rank: int, dtype: torch.dtype = torch.float64, out: int = 6) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        A: torch.randn(rank, 5, generator=generator, dtype=torch.float64).to(dtype),
        B: torch.randn(out, rank, generator=generator, dtype=torch.float64).to(dtype),
    }


def product(state: State) -> Tensor:
    return state[B] @ state[A]


@laws
@given(seed=st.integers(0, 10**6), ranks=st.lists(st.integers(1, 8), min_size=1, max_size=6))
def test_the_stack_is_the_weighted_sum_of_products(seed: int, ranks: list[int]) -> None:
    adapters = [adapter(seed + k, rank) for k, rank in enumerate(ranks)]
    weights, scalings = [1.0 + k for k in range(len(ranks))], [2.0 / (1 + k) for k in range(len(ranks))]
    stacked = stack_lora(adapters, weights, scalings)
    parts = zip(adapters, weights, scalings, strict=True)
    expected = sum(w / sum(weights) * s * product(own) for own, w, s in parts)
    assert float((product(stacked) - expected).norm() / torch.as_tensor(expected).norm()) < 1e-14
    assert stacked[A].shape[0] == stacked[B].shape[1] == sum(ranks)


def test_the_mean_of_factors_and_padding_are_not() -> None:
    """The controls of the paper: FedAvg of factors, zero-padding, and weights that stand on both factors."""
    ranks = [64, 32, 16, 8]
    adapters, weights = [adapter(k, rank) for k, rank in enumerate(ranks)], [0.4, 0.3, 0.2, 0.1]
    expected = torch.stack([w * product(own) for own, w in zip(adapters, weights, strict=True)]).sum(0)
    padded = [
        {A: nn.functional.pad(own[A], (0, 0, 0, 64 - rank)), B: nn.functional.pad(own[B], (0, 64 - rank))}
        for own, rank in zip(adapters, ranks, strict=True)
    ]
    mean = {key: sum(w * own[key] for own, w in zip(padded, weights, strict=True)) for key in (A, B)}
    both = stack_lora([{**own, B: own[B] * w} for own, w in zip(adapters, weights, strict=True)], weights)
    for found, wrong in ((stack_lora(adapters, weights), False), (mean, True), (both, True)):
        error = float((found[B] @ found[A] - expected).norm() / expected.norm())
        assert error > 0.3 if wrong else error < 1e-14


def test_it_is_pefts_cat_and_more_than_its_linear() -> None:
    peft = pytest.importorskip("peft")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)

    def config(rank: int) -> Any:
        return peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["layer"])

    model = peft.get_peft_model(Net(), config(3), adapter_name="first")
    model.add_adapter("second", config(2))
    module = model.base_model.model.layer
    with torch.no_grad():
        for name in ("first", "second"):
            module.lora_B[name].weight.normal_(generator=torch.Generator().manual_seed(0))
    model.add_weighted_adapter(["first", "second"], [0.7, 0.3], "cat", combination_type="cat")
    states = [peft.get_peft_model_state_dict(model, adapter_name=name) for name in ("first", "second")]
    found = stack_lora(states, [0.7, 0.3], [module.scaling["first"], module.scaling["second"]])
    expected = peft.get_peft_model_state_dict(model, adapter_name="cat")
    assert set(found) == set(expected)
    for key in found:
        torch.testing.assert_close(found[key], expected[key])
    assert module.scaling["cat"] == 1.0
    alike = [states[0], {key: value + 1 for key, value in states[0].items()}]
    stacked = stack_lora(alike, [0.5, 0.5])
    (down,), (up,) = ([key for key in stacked if part in key] for part in ("lora_A", "lora_B"))
    linear = sum(0.5**0.5 * own[up] for own in alike) @ sum(0.5**0.5 * own[down] for own in alike)
    exact = sum(0.5 * own[up] @ own[down] for own in alike)
    torch.testing.assert_close(stacked[up] @ stacked[down], exact)
    assert float((linear - exact).norm() / exact.norm()) > 0.1  # peft's `linear` has cross terms


def test_a_weight_of_zero_and_one_adapter() -> None:
    a, b = adapter(0, 3), adapter(1, 2)
    alone = stack_lora([a, {key: value * float("nan") for key, value in b.items()}], [2.0, 0.0])
    assert torch.equal(alone[A], a[A]) and torch.equal(alone[B], a[B])
    assert torch.equal(product(stack_lora([a], [2.0], normalize=False)), 2 * product(a))


def test_modules_that_only_some_adapt_convolutions_and_embeddings() -> None:
    conv = {"c.lora_A.weight": torch.randn(2, 3, 3, 3), "c.lora_B.weight": torch.randn(4, 2, 1, 1)}
    words = {"e.lora_embedding_A": torch.randn(2, 9), "e.lora_embedding_B": torch.randn(4, 2)}
    stacked = stack_lora([{**adapter(0, 3), **conv}, {**adapter(1, 2), **words}], [1.0, 3.0])
    torch.testing.assert_close(product(stacked), product(adapter(0, 3)) / 4 + product(adapter(1, 2)) * 0.75)
    torch.testing.assert_close(stacked["c.lora_A.weight"], conv["c.lora_A.weight"] / 4)
    torch.testing.assert_close(stacked["e.lora_embedding_A"], words["e.lora_embedding_A"] * 0.75)


@laws
@given(seed=st.integers(0, 10**6), rank=st.integers(1, 8))
def test_truncation_is_the_best_of_its_rank(seed: int, rank: int) -> None:
    state = stack_lora([adapter(seed, 3), adapter(seed + 1, 4)], [1.0, 2.0])
    small = truncate_lora(state, rank)
    values = torch.linalg.svdvals(product(state))
    assert float((product(small) - product(state)).norm()) == pytest.approx(float(values[rank:].norm()), abs=1e-9)
    assert small[A].shape[0] <= rank


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ([], "no adapter"),
        ([{A: torch.zeros(2, 5)}], "without 'layer.lora_B.weight'"),
        ([{**adapter(0, 2), "head.weight": torch.zeros(2)}], "'head.weight', which is no factor"),
        ([{A: torch.zeros(2, 5), B: torch.zeros(6, 3)}], "different ranks"),
        ([adapter(0, 2), adapter(1, 2, out=7)], "'layer.lora_B.weight' differs between adapters"),
        ([adapter(0, 2), adapter(1, 2, torch.float32)], "differs between adapters"),
    ],
)
def test_what_does_not_fit_is_refused(states: list[State], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stack_lora(states, [1.0] * len(states))


def test_inputs_stay() -> None:
    states = [adapter(0, 2), adapter(1, 3)]
    stack_lora(states, [1.0, 2.0])
    truncate_lora(states[0], 1)
    assert all(
        torch.equal(value, adapter(k, 2 + k)[key]) for k, state in enumerate(states) for key, value in state.items()
    )
