"""What `merge_models` refuses, in which words, and that it does so before a value is read."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from chiasm.merging import make_method, merge_models
from layer_states import State, assert_same, draw


def never(*_: object) -> Any:
    raise AssertionError("arithmetic before the check")


class Untouched(torch.Tensor):
    """A tensor of which shape and dtype may be asked, and nothing else."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") not in ("__get__", "size"):
            raise AssertionError(f"a value was read: {function}")
        return super().__torch_function__(function, types, args, kwargs or {})


def untouched(state: State) -> State:
    return {key: value.as_subclass(Untouched) for key, value in state.items()}


@pytest.mark.parametrize("method", ["linear", "ties"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("bias"), "model 2 lacks 'bias'"),
        (lambda s: s.update(extra=s["bias"]), "model 2 has 'extra' more"),
        (lambda s: (s.pop("bias"), s.update(extra=s["weight"])), "model 2 lacks 'bias' and has 'extra' more"),
        (lambda s: s.update(bias=draw("linear", 0)["weight"].as_subclass(Untouched)),
         r"'bias' has shape \(4,\) in model 1 and \(4, 5\) in model 2"),
        (lambda s: s.update(bias=draw("linear", 0, torch.float64)["bias"].as_subclass(Untouched)),
         "'bias' has dtype float32 in model 1 and float64 in model 2"),
    ],
)  # fmt: skip
def test_models_that_do_not_fit_are_refused_by_tensor(method: str, change: Any, message: str) -> None:
    a, b, base = (untouched(draw("linear", k)) for k in range(3))
    change(b)
    with pytest.raises(ValueError, match=message):
        merge_models([a, b], None, method, base if method == "ties" else None)
    with pytest.raises(ValueError, match=message.replace("model 2", "the base")):
        merge_models([a, a], None, "ties", b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": [1.0]}, "one finite weight"),
        ({"weights": [1.0, -1.0]}, "one finite weight"),
        ({"weights": [1.0, math.nan]}, "one finite weight"),
        ({"weights": [0.0, 0.0]}, "not all zero"),
        ({"method": "tise"}, "did you mean 'ties'"),
        ({"method": "ties"}, "give the base"),
        ({"base": 0}, "'linear' has no use for a base"),
        ({"method": "ties", "base": 0, "desnity": 0.5}, "no option 'desnity': did you mean 'density'"),
        ({"method": "ties", "base": 0, "density": "0.5"}, "'density' of 'ties' is float"),
        ({"method": "ties", "base": 0, "density": True}, "'density' of 'ties' is float"),
        ({"method": "dare", "base": 0, "seed": 0.5}, "'seed' of 'dare' is int"),
        ({"method": "ties", "base": 0, "density": 0.0}, "density is a share"),
        ({"method": "ties", "base": 0, "density": 1.5}, "density is a share"),
        ({"method": "ties", "base": 0, "density": math.nan}, "density is a share"),
        ({"method": "task-arithmetic", "base": 0, "scale": math.inf}, "scale is a finite number"),
        ({"method": "ties", "base": 0, "granularity": "rows"}, "granularity is one of tensor, row, model"),
        ({"method": "breadcrumbs", "base": 0, "density": 0.95}, "more than all entries"),
        ({"method": make_method("linear"), "density": 0.5}, "options belong to a method's name"),
    ],
)  # fmt: skip
def test_what_is_asked_is_checked_before_a_value_is_read(arguments: dict[str, Any], message: str) -> None:
    a, b, base = (untouched(draw("batch-norm", k)) for k in range(3))
    if arguments.get("base") == 0:
        arguments = {**arguments, "base": base}
    with pytest.raises(ValueError, match=message):
        merge_models([a, b], **arguments)


def test_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="no model to merge"):
        merge_models([])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_diverged_model_is_named(value: float) -> None:
    a, b = draw("linear", 0), draw("linear", 1)
    b["bias"][0] = value
    with pytest.raises(ValueError, match="'bias' of model 2 holds values that are not finite"):
        merge_models([a, b])
    with pytest.raises(ValueError, match="'bias' of the base holds"):
        merge_models([a, a], None, "ties", b)
    assert_same(merge_models([a, b], [1.0, 0.0]), a)  # its weight is zero: nobody asks


def test_a_mask_of_minus_infinity_in_all_models_stays() -> None:
    mask = torch.full((3, 3), -math.inf).triu(1)
    a, b, base = ({**draw("linear", k), "mask": mask} for k in range(3))
    for method, origin in (("linear", None), ("slerp", None), ("ties", base), ("dare", base)):
        assert torch.equal(merge_models([a, b], None, method, origin)["mask"], mask)
    zeros = [{**state, "mask": torch.zeros(3, 3)} for state in (a, b, base)]
    found = merge_models([a, b], None, "ties", base, granularity="model")
    expected = merge_models(zeros[:2], None, "ties", zeros[2], granularity="model")
    assert_same({**found, "mask": zeros[0]["mask"]}, expected)  # it takes no place among the largest


def test_what_overflows_its_dtype_is_named() -> None:
    a, base = {"w": torch.full((2,), 6e4, dtype=torch.float16)}, {"w": torch.zeros(2, dtype=torch.float16)}
    with pytest.raises(ValueError, match="'w' is not finite once merged"):
        merge_models([a], None, "task-arithmetic", base, scale=2.0)


def test_half_precision_is_added_up_in_double() -> None:
    states = [{"w": torch.full((1,), value, dtype=torch.float16)} for value in [2048.0, *[1.0] * 8]]
    assert float(merge_models(states)["w"][0]) == pytest.approx(2056 / 9, rel=1e-3)


def test_indices_and_masks_must_agree() -> None:
    a, b = ({**draw("linear", k), "index": torch.arange(3), "mask": torch.tensor([True, False])} for k in range(2))
    merged = merge_models([a, b])
    assert torch.equal(merged["index"], torch.arange(3)) and torch.equal(merged["mask"], a["mask"])
    for key, value in (("index", torch.tensor([0, 2, 1])), ("mask", torch.tensor([True, True]))):
        with pytest.raises(ValueError, match=f"'{key}' holds integers or booleans that differ"):
            merge_models([a, {**b, key: value}])


def test_statistics_are_averaged_whatever_the_method() -> None:
    a, b, base = (draw("batch-norm", k) for k in range(3))
    mean = {key: (a[key] + b[key]) / 2 for key in ("running_mean", "running_var")}
    for method, origin in (("linear", None), ("slerp", None), ("ties", base), ("dare", base), ("breadcrumbs", base)):
        merged = merge_models([a, b], None, method, origin)
        for key in mean:
            torch.testing.assert_close(merged[key], mean[key])
    half = merge_models([a, b], None, "task-arithmetic", base, scale=0.5)
    torch.testing.assert_close(half["running_var"], (mean["running_var"] + base["running_var"]) / 2)
