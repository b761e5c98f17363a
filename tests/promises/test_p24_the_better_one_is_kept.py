"""P24 of model soups and of WiSE-FT: the better one is kept, and both ends are among what is compared."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.merging import merge_models
from chiasm.merging.layerwise import merge_layers
from chiasm.merging.soup import greedy_soup
from chiasm.merging.wise_ft import interpolate, sweep
from examples import examples
from layer_states import State, assert_same, draw

laws = settings(max_examples=examples(15), deadline=None)


def nearness(target: State) -> Callable[[State], float]:
    return lambda state: -sum(float((state[key] - target[key]).square().sum()) for key in target)


@laws
@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
def test_a_soup_is_never_worse_than_its_best_model(seed: int, count: int) -> None:
    states, score = [draw("linear", seed + 1 + k) for k in range(count)], nearness(draw("linear", seed))
    soup = greedy_soup(states, score)
    assert soup.score >= max(soup.alone) and soup.score == pytest.approx(score(soup.state))
    assert_same(soup.state, merge_models([states[k] for k in soup.chosen]))
    assert soup.chosen[0] == max(range(count), key=lambda k: soup.alone[k])
    turned = greedy_soup(states[::-1], score)
    assert [count - 1 - k for k in turned.chosen] == list(soup.chosen)


def test_a_soup_leaves_out_what_makes_it_worse() -> None:
    target = draw("linear", 0)
    near = [{key: value + sign * 0.1 for key, value in target.items()} for sign in (1, -1)]
    far = {key: value + 50 for key, value in target.items()}
    soup = greedy_soup([far, *near], nearness(target))
    assert set(soup.chosen) == {1, 2}
    assert_same(soup.state, target)


def test_a_score_that_is_not_estimable_is_never_chosen() -> None:
    a, b = draw("linear", 1), draw("linear", 2)
    soup = greedy_soup([a, b], lambda state: math.nan if torch.equal(state["bias"], a["bias"]) else 0.0)
    assert soup.chosen[0] == 1
    with pytest.raises(ValueError, match="no model has a score"):
        greedy_soup([a, b], lambda state: math.nan)
    with pytest.raises(ValueError, match="no point has a score"):
        sweep(a, b, lambda state: math.nan)


def test_models_that_do_not_fit_are_refused_before_anything_is_scored() -> None:
    def never(state: State) -> float:
        raise AssertionError("scored before the check")

    with pytest.raises(ValueError, match="do not have the same tensors"):
        greedy_soup([draw("linear", 0), draw("embedding", 0)], never)
    with pytest.raises(ValueError, match="no model"):
        greedy_soup([], never)
    with pytest.raises(ValueError, match="between 0 and 1"):
        sweep(draw("linear", 0), draw("linear", 1), never, [0.5, 1.5])


@laws
@given(seed=st.integers(0, 10**6), at=st.floats(0, 1))
def test_a_sweep_is_never_worse_than_either_end(seed: int, at: float) -> None:
    base, tuned = draw("linear", seed), draw("linear", seed + 1)
    score = nearness({key: value + at * (tuned[key] - value) for key, value in base.items()})
    found = sweep(base, tuned, score, [0.25, 0.5, 0.75])
    assert found.alphas == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert score(found.state) >= max(score(base), score(tuned)) - 1e-4
    assert abs(found.alpha - at) <= 0.125 + 1e-6


def test_interpolation_is_exact_at_its_ends_and_is_task_arithmetic_of_one() -> None:
    base, tuned = draw("network", 0), draw("network", 1)
    floats = [key for key, value in base.items() if value.is_floating_point()]
    for alpha, end in ((0.0, base), (1.0, tuned)):
        assert_same(interpolate(base, tuned, alpha), end, exact=True)
    for alpha in (0.0, 0.3, 0.8, 1.0):
        first, second = (
            interpolate(base, tuned, alpha),
            merge_models([tuned], None, "task-arithmetic", base, scale=alpha),
        )
        assert_same({key: first[key] for key in floats}, {key: second[key] for key in floats})
    with pytest.raises(ValueError, match="alpha lies between"):
        interpolate(base, tuned, 1.2)


def test_layers_may_have_weights_of_their_own() -> None:
    a, b = draw("network", 0), draw("network", 1)
    merged = merge_layers([a, b], {"": [1.0, 1.0], "0.": [1.0, 0.0], "1.": [0.0, 1.0], "1.bias": [1.0, 0.0]})
    for key in a:
        own = a if key.startswith("0.") or key == "1.bias" else b if key.startswith("1.") else None
        expected = own[key] if own else merge_models([{key: a[key]}, {key: b[key]}], None, "slerp")[key]
        torch.testing.assert_close(merged[key], expected)
    assert list(merged) == list(a)
    for weights, message in (
        ({"0.": [1.0, 1.0]}, "no weights are given for '1.weight'"),
        ({"": [1.0, 1.0], "9.": [1.0, 1.0]}, "prefix '9.'"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_layers([a, b], weights)
