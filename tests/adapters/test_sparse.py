"""Sparse deltas: exactly k places, bits elsewhere, sums that commute, and SHiRA of peft with the same mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bases import BASES
from chiasm.adapters import (
    Attached,
    SparseDelta,
    attach,
    compose,
    delta_of,
    lottery_ticket,
    narrow,
    nuclear_norm,
    restore_adapter,
    save_adapter,
    small_weights,
)
from chiasm.adapters.sparse_masks import largest_places
from examples import examples

BASE = BASES["Linear"]


def fit(steps: int = 10, rows: slice = slice(None)) -> Callable[[Attached], None]:
    def train(attached: Attached) -> None:
        optimiser = torch.optim.AdamW(attached.parameters(), lr=0.05)
        x = BASE.input()[rows]
        for _ in range(steps):
            optimiser.zero_grad()
            (attached.model(x) - 1).square().mean().backward()
            optimiser.step()

    return train


@pytest.mark.parametrize(("k", "rounds"), [(1, 1), (7, 1), (12, 3), (63, 1)])
def test_a_lottery_ticket_has_exactly_k_places_and_leaves_the_base(k: int, rounds: int) -> None:
    model = BASE.model()
    delta = lottery_ticket(model, BASE.where, fit(), k, rounds=rounds)
    assert delta.size == k and not delta.start
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), BASE.model().parameters(), strict=True))


def test_the_threshold_is_one_for_all_sites() -> None:
    """Not k / n in each layer: a layer that does not move gets nothing."""
    found = largest_places({"a": np.array([0.0, 0.1]), "b": np.array([5.0, 3.0, 4.0])}, 3)
    assert found["a"].tolist() == [] and found["b"].tolist() == [0, 1, 2]
    ties = largest_places({"a": np.ones(3), "b": np.ones(3)}, 4)
    assert ties["a"].tolist() == [0, 1, 2] and ties["b"].tolist() == [0]


def test_the_ticket_holds_the_weights_that_training_moves_most() -> None:
    model = BASE.model()
    every = SparseDelta({n: np.arange(p.numel()) for n, p in model.named_parameters()})
    dense = attach(model, every, every.where)
    fit()(dense)
    moved = torch.cat([value.detach().abs().flatten() for value in dense.parameters()])
    dense.remove()
    threshold = moved.sort(descending=True).values[9]
    delta = lottery_ticket(model, BASE.where, fit(), 10)
    ends = np.cumsum([0] + [p.numel() for p in model.parameters()])
    starts = dict(zip((name for name, _ in model.named_parameters()), ends, strict=False))
    places = [starts[name] + place for name, found in delta.indices.items() for place in found]
    assert sorted(places) == (moved >= threshold).nonzero().flatten().tolist()


def test_weights_that_do_not_move_keep_their_bits_after_training_and_merge() -> None:
    model = BASE.model()
    delta = lottery_ticket(model, BASE.where, fit(), 9)
    attached = attach(model, delta, delta.where)
    fit()(attached)
    attached.merge()
    moved = sum(int((a != b).sum()) for a, b in zip(model.parameters(), BASE.model().parameters(), strict=True))
    assert moved == 9 == attached.count()


@settings(max_examples=examples(20), deadline=None)
@given(seed=st.integers(0, 10**6))
def test_composition_commutes_and_is_the_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def draw() -> SparseDelta:
        places = {
            n: rng.choice(p.numel(), rng.integers(1, p.numel()), replace=False) for n, p in model.named_parameters()
        }
        return SparseDelta(places, {n: rng.normal(size=len(v)).astype(np.float32) for n, v in places.items()})

    model = BASE.model()
    a, b = draw(), draw()
    ab, ba = compose(a, b), compose(b, a)
    assert {n: v.tolist() for n, v in ab.start.items()} == {n: v.tolist() for n, v in ba.start.items()}
    for delta, parts in ((ab, (a, b)), (compose(a), (a,))):
        attached = attach(model, delta, delta.where)
        merged = {name: value.detach().clone() for name, value in attached.merge().named_parameters()}
        attached.remove()
        for name, value in model.named_parameters():
            expected = value.detach().clone().flatten()
            for part in parts:
                expected[torch.from_numpy(part.indices[name])] += torch.from_numpy(part.start[name])
            torch.testing.assert_close(merged[name].flatten(), expected)


def test_deltas_of_disjoint_places_do_not_touch_each_other() -> None:
    a = SparseDelta({"0.weight": np.array([0, 1])}, {"0.weight": np.array([1.0, 2.0], np.float32)})
    b = SparseDelta({"0.weight": np.array([4]), "3.weight": np.array([2])}, {"0.weight": np.array([3.0], np.float32)})
    both = compose(a, b)
    assert both.indices["0.weight"].tolist() == [0, 1, 4] and both.start["0.weight"].tolist() == [1, 2, 3]
    assert both.start["3.weight"].tolist() == [0]


def test_shira_of_peft_with_the_same_mask_gives_the_same() -> None:
    import peft

    r, generator = 1, torch.Generator().manual_seed(0)
    model, theirs = BASE.model(), BASE.model()
    masks = {}

    def mask_fn(layer: nn.Module, rank: int, **kwargs: object) -> torch.Tensor:
        chosen = torch.randperm(layer.weight.numel(), generator=generator)[: rank * sum(layer.weight.shape)]
        masks[layer] = torch.zeros(layer.weight.numel()).index_fill(0, chosen, 1).view_as(layer.weight)
        return masks[layer]

    config = peft.ShiraConfig(r=r, target_modules=["0", "3"], init_weights=False)
    config.mask_fn = mask_fn
    shira = peft.get_peft_model(theirs, config)
    indices, start = {}, {}
    for site in BASE.sites:
        layer = theirs.get_submodule(site)
        indices[f"{site}.weight"] = masks[layer.base_layer].flatten().nonzero().flatten().numpy()
        start[f"{site}.weight"] = layer.shira_weight["default"].detach().numpy()
    delta = SparseDelta(indices, start)
    attached = attach(model, delta, delta.where)
    assert attached.count() == sum(p.numel() for p in shira.parameters() if p.requires_grad)
    torch.testing.assert_close(model(BASE.input()), shira(BASE.input()))


def test_small_weights_are_those_below_the_threshold_and_large_ones_keep_their_bits() -> None:
    model = BASE.model()
    delta = small_weights(model, BASE.where, 0.1)
    small = {name: (value.detach().abs() < 0.1).flatten() for name, value in model.named_parameters()}
    assert delta.size == sum(int(flags.sum()) for flags in small.values())
    attached = attach(model, delta, delta.where)
    optimiser = torch.optim.AdamW(attached.parameters())
    (model(BASE.input()) - 1).square().mean().backward()
    optimiser.step()
    held = sum(state["exp_avg"].numel() for state in optimiser.state.values())
    assert held == delta.size == attached.count()
    attached.merge()
    for name, value in BASE.model().named_parameters():
        assert torch.equal(model.get_parameter(name).flatten()[~small[name]], value.flatten()[~small[name]])
    with pytest.raises(ValueError, match="below"):
        small_weights(BASE.model(), BASE.where, 0.0)


def test_narrowing_keeps_the_output_and_a_subset_of_the_places(tmp_path: Path) -> None:
    model = BASE.model()
    delta = small_weights(model, BASE.where, 0.2)
    first = attach(model, delta, delta.where)
    fit(20)(first)
    before, x = delta_of(first), BASE.input()
    output, weights = model(x), {n: p.detach().clone() for n, p in model.named_parameters()}
    second = narrow(first, 0.2)
    torch.testing.assert_close(model(x), output)
    after = delta_of(second)
    assert 0 < second.count() < first.count()
    for name, places in after.indices.items():
        training = places[~after.settled[name]]
        values = dict(zip(before.indices[name].tolist(), before.start[name].tolist(), strict=True))
        now = {p: float(weights[name].flatten()[p]) + v for p, v in values.items()}
        assert set(training) == {p for p, value in now.items() if abs(value) < 0.2}
    settled = {n: after.start[n][after.settled[n]] for n in after.indices}
    fit(5)(second)
    moved = delta_of(second)
    assert all(np.array_equal(settled[n], moved.start[n][moved.settled[n]]) for n in settled)
    assert narrow(second, 0.2).count() <= second.count()


def test_a_narrowed_delta_is_saved_and_restored(tmp_path: Path) -> None:
    model, other = BASE.model(), BASE.model()
    delta = small_weights(model, BASE.where, 0.2)
    first = attach(model, delta, delta.where)
    fit(20)(first)
    save_adapter(tmp_path / "a", narrow(first, 0.2))
    restore_adapter(tmp_path / "a", other)
    assert torch.equal(other(BASE.input()), model(BASE.input()))


def test_the_nuclear_norm_is_torch_s_over_the_masked_weights_and_its_gradient_too() -> None:
    model = BASE.model()
    delta = small_weights(model, BASE.where, 0.3)
    attached = attach(model, delta, delta.where)
    value = nuclear_norm(attached)
    expected, gradients = 0.0, {}
    for name, weight in BASE.model().named_parameters():
        if weight.ndim == 2:
            mask = (weight.abs() < 0.3).float()
            leaf = (weight.detach() * mask).requires_grad_()
            norm = torch.linalg.matrix_norm(leaf, "nuc")
            norm.backward()
            expected += norm.item()
            gradients[name] = leaf.grad.flatten()[mask.flatten().bool()]
    assert value.item() == pytest.approx(expected, rel=1e-5)
    value.backward()
    for name, gradient in gradients.items():
        site = name.rpartition(".")[0]
        torch.testing.assert_close(attached.parts[site].weight_values.grad, gradient, rtol=1e-4, atol=1e-5)
    drawn = {round(nuclear_norm(attached, torch.Generator().manual_seed(s)).item(), 4) for s in range(8)}
    assert len(drawn) == 2 and sum(drawn) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ({"0.weight": np.array([0, 0])}, "each once"),
        ({"0.weight": np.array([0.0])}, "integers"),
        ({"0.weight": np.array([35])}, "outside '0.weight', which has 35"),
        ({"0.weight": np.array([-1])}, "outside '0.weight'"),
        ({"3.bias": np.array([0])}, "outside '3.bias', which has 0"),
        ({"0.weight": np.array([0]), "9.weight": np.array([0])}, "no parameter '9.weight'"),
    ],
)
def test_places_that_cannot_be_are_named(indices: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        delta = SparseDelta(indices)
        attach(BASE.model(), delta, delta.where)


def test_numbers_of_places_and_rounds_that_cannot_be() -> None:
    for k, rounds in ((0, 1), (71, 1), (3, 4)):
        with pytest.raises(ValueError, match="between 1"):
            lottery_ticket(BASE.model(), BASE.where, fit(), k, rounds=rounds)
