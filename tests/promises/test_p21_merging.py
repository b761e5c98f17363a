"""P21: the laws that every way of merging keeps, in one matrix: methods by layers, a fifth of its cells each time.

A method that trims is not the identity by definition. For it the law is: one model merged is the base with those
entries of the model that the mask keeps, and a model merged with itself is that again.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.merging import METHODS, make_method, merge_models
from layer_states import MODULES, State, assert_same, draw, fresh, weights_of

laws = settings(max_examples=3, deadline=None)  # in each cell of the matrix
seeds = st.integers(0, 10**6)

WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("slerp", {}),
    ("task-arithmetic", {}),
    ("ties", {"density": 1.0}),
    ("dare", {"density": 1.0}),
    ("dare-ties", {"density": 1.0}),
    ("breadcrumbs", {"density": 1.0, "outliers": 0.0}),
]
TRIMMED: list[tuple[str, dict[str, Any]]] = [
    ("task-arithmetic", {"density": 0.4, "granularity": "model"}),
    ("ties", {}),
    ("ties", {"density": 0.5, "granularity": "row"}),
    ("ties", {"density": 0.5, "granularity": "model"}),
    ("dare", {}),
    ("dare-ties", {"seed": 7}),
    ("breadcrumbs", {}),
    ("breadcrumbs", {"density": 0.5, "outliers": 0.2, "granularity": "row"}),
]
SUMS: list[tuple[str, dict[str, Any]]] = [
    (name, {**options, "normalize": False, "scale": 0.4})
    for name, options in (WHOLE[2], TRIMMED[1], TRIMMED[4], TRIMMED[6])
]


def named(value: tuple[str, dict[str, Any]]) -> str:
    return ":".join([value[0], *(f"{k}={v}" for k, v in value[1].items())])


def each(*methods: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    chosen = [method for group in methods for method in group]
    return pytest.mark.parametrize("method", chosen, ids=[named(method) for method in chosen])


def each_by_module(*methods: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    """Methods by layers; each time every method on a fifth of the layers, and every layer with a fifth of them."""
    cells = [
        pytest.param(method, module, id=f"{module}-{named(method)}", marks=pytest.mark.nightly if (i + j) % 5 else ())
        for j, module in enumerate(MODULES)
        for i, method in enumerate(method for group in methods for method in group)
    ]
    return pytest.mark.parametrize(("method", "module"), cells)


def merge(method: tuple[str, dict[str, Any]], states: list[State], weights: list[float], base: State) -> State:
    name, options = method
    return merge_models(states, weights, name, base if METHODS[name].needs_base else None, **options)


def test_the_matrix_holds_every_method() -> None:
    assert {name for name, _ in WHOLE} == set(METHODS)


@each_by_module(WHOLE)
@laws
@given(seed=seeds, weight=st.floats(1e-3, 1e3))
def test_one_model_is_itself(method: Any, module: str, seed: int, weight: float) -> None:
    a, base = draw(module, seed), draw(module, seed + 1)
    assert_same(merge(method, [a], [weight], base), a)


@each_by_module(WHOLE)
@laws
@given(seed=seeds, weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=4))
def test_a_model_with_itself_is_itself_at_any_weights(
    method: Any, module: str, seed: int, weights: list[float]
) -> None:
    a, base = draw(module, seed), draw(module, seed + 1)
    assert_same(merge(method, [a] * len(weights), weights, base), a)


@each_by_module(TRIMMED)
@laws
@given(seed=seeds, weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=4))
def test_trimmed_and_merged_with_itself_it_is_what_it_is_trimmed_alone(
    method: Any, module: str, seed: int, weights: list[float]
) -> None:
    a, base = draw(module, seed), draw(module, seed + 1)
    assert_same(merge(method, [a] * len(weights), weights, base), merge(method, [a], [1.0], base))


@each_by_module(TRIMMED)
@laws
@given(seed=seeds)
def test_one_model_trimmed_is_the_base_with_some_of_its_entries(method: Any, module: str, seed: int) -> None:
    a, base = draw(module, seed), draw(module, seed + 1)
    merged = merge(method, [a], [1.0], base)
    factor = 2.0 if method[0].startswith("dare") else 1.0  # kept entries are divided by the density, a half
    for key, value in weights_of(merged).items():
        moved = base[key] + factor * (a[key] - base[key])
        still = torch.isclose(value, base[key], atol=1e-6)
        assert bool((still | torch.isclose(value, moved, rtol=1e-5, atol=1e-6)).all()), key
    for key in set(a) - set(weights_of(a)):
        torch.testing.assert_close(merged[key], a[key])


@each_by_module(WHOLE, TRIMMED, SUMS)
@laws
@given(seed=seeds)
def test_a_weight_of_one_and_zero_is_an_endpoint(method: Any, module: str, seed: int) -> None:
    a, b, base = draw(module, seed), draw(module, seed + 1), draw(module, seed + 2)
    assert_same(merge(method, [a, b], [1.0, 0.0], base), merge(method, [a], [1.0], base), exact=True)
    assert_same(merge(method, [a, b], [0.0, 1.0], base), merge(method, [b], [1.0], base), exact=True)


@each_by_module(WHOLE)
def test_the_endpoints_are_the_models_norms_included(method: Any, module: str) -> None:
    a, other, base = draw(module, 0), draw(module, 1), draw(module, 2)
    for size in (1e-3, 1.0, 1e3):
        b = {key: value * size if value.is_floating_point() else value for key, value in other.items()}
        assert_same(merge(method, [a, b], [1.0, 0.0], base), a)
        assert_same(merge(method, [a, b], [0.0, 1.0], base), b)


@each_by_module(SUMS)
def test_a_scale_of_zero_is_the_base(method: Any, module: str) -> None:
    a, b, base = draw(module, 3), draw(module, 4), draw(module, 5)
    name, options = method
    merged = merge((name, {**options, "scale": 0.0}), [a, b], [1.0, 1.0], base)
    floats = [key for key, value in base.items() if value.is_floating_point()]
    assert_same({key: merged[key] for key in floats}, {key: base[key] for key in floats})


@each_by_module(WHOLE, TRIMMED, SUMS)
@laws
@given(seed=seeds, weights=st.lists(st.floats(0.01, 10), min_size=2, max_size=4), order=st.integers(0, 10**6))
def test_the_order_of_models_with_their_weights_does_not_matter(
    method: Any, module: str, seed: int, weights: list[float], order: int
) -> None:
    states, base = [draw(module, seed + 1 + k) for k in range(len(weights))], draw(module, seed)
    permutation = list(range(len(weights)))
    random.Random(order).shuffle(permutation)
    moved = merge(method, [states[k] for k in permutation], [weights[k] for k in permutation], base)
    assert_same(moved, merge(method, states, weights, base))


@each_by_module(WHOLE, TRIMMED)
@laws
@given(seed=seeds, factor=st.floats(1e-3, 1e3))
def test_only_the_ratios_of_weights_count(method: Any, module: str, seed: int, factor: float) -> None:
    states, base = [draw(module, seed + 1 + k) for k in range(3)], draw(module, seed)
    weights = [0.2, 0.5, 1.3]
    assert_same(
        merge(method, states, [weight * factor for weight in weights], base), merge(method, states, weights, base)
    )


@each_by_module(WHOLE, TRIMMED, SUMS)
def test_every_model_counts(method: Any, module: str) -> None:
    models = 4
    states, base = [draw(module, 10 + k) for k in range(models)], draw(module, 9)
    merged, other = weights_of(merge(method, states, [1.0] * models, base)), draw(module, 99)
    for k in range(models):
        changed = merge(method, [other if k == j else state for j, state in enumerate(states)], [1.0] * models, base)
        assert any(float((changed[key] - merged[key]).abs().max()) > 1e-3 for key in merged), k


@each_by_module(WHOLE, TRIMMED, SUMS)
def test_zero_parallel_and_opposed_models_are_never_nan(method: Any, module: str) -> None:
    start = fresh(module)
    pairs = ((draw(module, 1), draw(module, 2)), (draw(module, 3), start), (start, start))
    for (a, base), scale in itertools.product(pairs, (0.0, 1.0, -1.0, 2.0, 1e-20)):
        b = {
            key: base[key] + scale * (value - base[key]) if value.is_floating_point() else value
            for key, value in a.items()
        }
        multiple = {key: value * scale if value.is_floating_point() else value for key, value in a.items()}
        zero = {key: torch.zeros_like(value) for key, value in a.items()}
        for states in ([a, b], [a, multiple], [zero, a], [zero, zero], [a, b, multiple]):
            merged = merge(method, states, [0.3] * len(states), base)
            assert all(bool(torch.isfinite(value).all()) for value in merged.values())


@each_by_module(WHOLE, TRIMMED, SUMS)
def test_inputs_stay_and_the_result_is_no_view_of_them(method: Any, module: str) -> None:
    states, base = [draw(module, k) for k in range(3)], draw(module, 3)
    every = [*states, base]
    before = [{key: value.clone() for key, value in state.items()} for state in every]
    for models, weights in ((states, [1.0, 2.0, 3.0]), (states[:1], [1.0]), ([states[0]] * 2, [1.0, 1.0])):
        merged = merge(method, models, weights, base)
        for value in merged.values():
            value.zero_()
    for state, own in zip(every, before, strict=True):
        assert_same(state, own, exact=True)


@each(WHOLE, TRIMMED, SUMS)
def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator(method: Any) -> None:
    states, base = [draw("network", k) for k in range(3)], draw("network", 3)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = merge(method, states, [1.0, 2.0, 3.0], base)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert_same(merge(method, states, [1.0, 2.0, 3.0], base), first, exact=True)


@each(WHOLE, TRIMMED, SUMS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_every_precision_comes_back_as_it_was(method: Any, dtype: torch.dtype) -> None:
    states, base = [draw("linear", k, dtype) for k in range(3)], draw("linear", 3, dtype)
    merged = merge(method, states, [1.0, 2.0, 3.0], base)
    assert {value.dtype for value in merged.values()} == {dtype}
    if not dtype.is_complex:
        wide = merge(
            method, [{k: v.double() for k, v in s.items()} for s in states], [1.0, 2.0, 3.0],
            {k: v.double() for k, v in base.items()},
        )  # fmt: skip
        assert_same(merged, {key: value.to(dtype) for key, value in wide.items()}, exact=True)


@each(WHOLE, TRIMMED, SUMS)
def test_variances_stay_above_zero_and_counts_are_the_largest(method: Any) -> None:
    name, options = method
    states, base = [draw("batch-norm", k) for k in range(3)], draw("batch-norm", 3)
    for factor in ({"scale": 5.0}, {"scale": -5.0}) if "scale" in options else ({},):
        merged = merge((name, {**options, **factor}), states, [1.0, 1.0, 0.0], base)
        assert float(merged["running_var"].min()) > 0
        counts = [int(state["num_batches_tracked"]) for state in states]
        assert int(merged["num_batches_tracked"]) == max(counts[:2])
        assert merged["num_batches_tracked"].dtype == torch.int64


@pytest.mark.parametrize("name", list(METHODS))
def test_options_are_typed_and_named(name: str) -> None:
    method = make_method(name)
    assert method.id == name and str(method.paper)
    with pytest.raises(ValueError, match=f"'{name}' has no option 'wrong'"):
        make_method(name, wrong=1)
