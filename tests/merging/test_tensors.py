"""Laws of `spherical_mean`, `linear_mean` and `merge_states`."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from chiasm.merging import linear_mean, merge_states, spherical_mean
from examples import examples

every_merge = pytest.mark.parametrize("merge", [linear_mean, spherical_mean], ids=["linear", "spherical"])
laws = settings(max_examples=examples(25), deadline=None)
Merge = Callable[..., Tensor]


def draw(seed: int, models: int, shape: tuple[int, ...] = (4, 3)) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(models)]


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The closed formula of two, on directions, times the linear mean of the norms."""
    first, second = a / a.norm(), b / b.norm()
    angle = math.acos(max(-1.0, min(1.0, float((first * second).sum()))))
    direction = (math.sin((1 - t) * angle) * first + math.sin(t * angle) * second) / math.sin(angle)
    return direction * ((1 - t) * a.norm() + t * b.norm())


@every_merge
@laws
@given(seed=st.integers(0, 10**6), weight=st.floats(1e-3, 1e3))
def test_one_model_is_itself(merge: Merge, seed: int, weight: float) -> None:
    (a,) = draw(seed, 1)
    torch.testing.assert_close(merge([a], [weight]), a)


@every_merge
@laws
@given(seed=st.integers(0, 10**6), weights=st.lists(st.floats(1e-3, 1e3), min_size=2, max_size=5))
def test_a_model_with_itself_is_itself_at_any_weights(merge: Merge, seed: int, weights: list[float]) -> None:
    (a,) = draw(seed, 1)
    torch.testing.assert_close(merge([a] * len(weights), weights), a)


@every_merge
@laws
@given(seed=st.integers(0, 10**6), size=st.floats(1e-3, 1e3))
def test_a_weight_of_one_and_zero_is_an_endpoint_norms_included(merge: Merge, seed: int, size: float) -> None:
    a, b = draw(seed, 2)
    b = b * size
    torch.testing.assert_close(merge([a, b], [1.0, 0.0]), a)
    torch.testing.assert_close(merge([a, b], [0.0, 1.0]), b)


@every_merge
@laws
@given(
    seed=st.integers(0, 10**6),
    weights=st.lists(st.floats(0.01, 10), min_size=2, max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_models_with_their_weights_does_not_matter(
    merge: Merge, seed: int, weights: list[float], order: object
) -> None:
    tensors = draw(seed, len(weights))
    permutation = list(range(len(weights)))
    order.shuffle(permutation)  # type: ignore[attr-defined]
    torch.testing.assert_close(
        merge([tensors[k] for k in permutation], [weights[k] for k in permutation]),
        merge(tensors, weights),
        rtol=1e-6,
        atol=1e-8,
    )


@every_merge
@pytest.mark.parametrize("models", [3, 5])
def test_every_model_counts(merge: Merge, models: int) -> None:
    tensors = draw(1, models)
    merged = merge(tensors, [1.0] * models)
    (other,) = draw(2, 1)
    for k in range(models):
        changed = [other if k == j else tensor for j, tensor in enumerate(tensors)]
        assert (merge(changed, [1.0] * models) - merged).abs().max() > 1e-3


@every_merge
@pytest.mark.parametrize("scale", [0.0, 1.0, -1.0, 2.0, -0.5, 1e-20, 1 + 1e-9])
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_zero_parallel_and_opposed_tensors_are_never_nan(merge: Merge, scale: float, share: float) -> None:
    (a,) = draw(3, 1)
    third = draw(4, 1)
    for first in (a, torch.zeros_like(a), torch.ones(4, 3, dtype=torch.float64)):
        for rest in ([], third):
            assert torch.isfinite(merge([first, a * scale, *rest], [1 - share, share, *[0.3] * len(rest)])).all()


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.0, -1.0, -0.5])
def test_where_the_sphere_has_no_answer_it_is_the_linear_mean(scale: float) -> None:
    (a,) = draw(5, 1)
    torch.testing.assert_close(spherical_mean([a, a * scale], [0.3, 0.7]), linear_mean([a, a * scale], [0.3, 0.7]))


@laws
@given(seed=st.integers(0, 10**6), t=st.floats(0, 1), size=st.floats(0.1, 10))
def test_two_tensors_are_slerped(seed: int, t: float, size: float) -> None:
    a, b = draw(seed, 2)
    b = b * size
    torch.testing.assert_close(spherical_mean([a, b], [1 - t, t]), slerp(a, b, t), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("degrees", [0.01, 1.0, 90.0, 150.0, 179.0])
@pytest.mark.parametrize("t", [0.25, 0.5, 0.9])
def test_slerp_walks_the_angle_evenly(degrees: float, t: float) -> None:
    def at(angle: float) -> Tensor:
        return torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))], dtype=torch.float64)

    torch.testing.assert_close(spherical_mean([at(0), at(degrees)], [1 - t, t]), at(t * degrees), rtol=1e-6, atol=1e-9)


def test_the_mean_of_more_is_where_the_log_maps_cancel() -> None:
    tensors, weights = draw(6, 4), [0.1, 0.2, 0.3, 0.4]
    unit = [tensor / tensor.norm() for tensor in tensors]
    point = spherical_mean(unit, weights)
    assert float(point.norm()) == pytest.approx(1.0)
    total = torch.zeros_like(point)
    for weight, direction in zip(weights, unit, strict=True):
        cosine = (direction * point).sum()
        tangent = direction - cosine * point
        total += weight * torch.acos(cosine) * tangent / tangent.norm()
    assert float(total.norm()) < 1e-6


@every_merge
def test_single_precision_stays_single_and_inputs_stay(merge: Merge) -> None:
    tensors = [tensor.float() for tensor in draw(7, 3)]
    before = [tensor.clone() for tensor in tensors]
    assert merge(tensors, [1.0, 2.0, 3.0]).dtype == torch.float32
    assert all(torch.equal(*pair) for pair in zip(tensors, before, strict=True))


@every_merge
@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [math.inf, 1.0], [1.0, 1.0, 1.0]])
def test_weights_that_are_none_are_refused(merge: Merge, weights: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite weight >= 0 for each model, not all zero"):
        merge(draw(8, 2), weights)


@every_merge
def test_a_tensor_of_weight_zero_is_not_read(merge: Merge) -> None:
    a, b, c = draw(12, 3)
    for first in (a, c):  # parallel to c: the linear mean, too
        assert torch.equal(
            merge([first, torch.full_like(b, math.nan), c], [1.0, 0.0, 2.0]), merge([first, b, c], [1.0, 0.0, 2.0])
        )


@every_merge
def test_nothing_to_merge_is_refused(merge: Merge) -> None:
    with pytest.raises(ValueError, match="one finite weight"):
        merge([], [])
    with pytest.raises(ValueError, match="no model to merge"):
        merge_states([], [], merge)


@every_merge
def test_states_merge_tensor_by_tensor(merge: Merge) -> None:
    states = [{"w": w, "b": b} for w, b in zip(draw(9, 3), draw(10, 3, (4,)), strict=True)]
    merged = merge_states(states, [1.0, 2.0, 3.0], merge)
    assert list(merged) == ["w", "b"]
    for key in merged:
        assert torch.equal(merged[key], merge([state[key] for state in states], [1.0, 2.0, 3.0]))


def test_states_that_differ_are_refused_by_tensor_before_any_arithmetic() -> None:
    def never(tensors: object, weights: object) -> Tensor:
        raise AssertionError("arithmetic before the check")

    (w,) = draw(11, 1)
    good = {"w": w, "head.bias": torch.zeros(2)}
    for wrong, message in (
        ({"w": w}, "model 3 and model 1 do not have the same tensors: model 3 lacks 'head.bias'"),
        ({**good, "extra": w}, "model 3 has 'extra' more"),
        ({"w": w, "head.bias": torch.zeros(3)}, r"'head.bias' has shape \(2,\) in model 1 and \(3,\) in model 3"),
    ):
        with pytest.raises(ValueError, match=message):
            merge_states([good, good, wrong], [1.0] * 3, never)
