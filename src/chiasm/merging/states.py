"""Assembly of a merged state dict: layouts are checked first; weights, statistics and counts are merged accordingly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from chiasm.merging.layouts import layout_of, require_one_layout
from chiasm.merging.tensors import linear_mean, require_weights, spherical_mean

State = Mapping[str, Tensor]
MergeTensors = Callable[[Sequence[Tensor], Sequence[float]], Tensor]
MergeWeights = Callable[[Sequence[State], Sequence[float], State], State]
STATISTICS = ("running_mean", "running_var")


def merge_states(
    states: Sequence[State], weights: Sequence[float], merge: MergeTensors = spherical_mean
) -> dict[str, Tensor]:
    """Merge state dicts of one architecture, tensor by tensor; see `assemble`."""
    return assemble(states, weights, partial(tensor_by_tensor, merge))


def tensor_by_tensor(
    merge: MergeTensors, states: Sequence[State], weights: Sequence[float], base: State
) -> dict[str, Tensor]:
    """Apply `merge` to each tensor separately; the base is not used."""
    return {key: merge([state[key] for state in states], weights) for key in states[0]}


def assemble(
    states: Sequence[State],
    weights: Sequence[float],
    merge: MergeWeights,
    base: State | None = None,
    reach: float = 1.0,
) -> dict[str, Tensor]:
    """Merge state dicts into one, in the first one's order and dtypes; the inputs are not changed.

    - Weights: `merge`, in double precision, complex numbers as pairs. A tensor in which all models, and the base, agree
      is unchanged.
    - Batch-norm statistics are not weights, and a variance must not become negative: their linear mean, whatever the
      method; with a base, they move from it towards that mean by the fraction `reach`, clipped to 0 to 1. Re-estimate
      them if data are available.
    - A single integer is a count (`num_batches_tracked`): the largest.
    - Other integers and booleans are indices or masks, which have no mean: they must agree.

    Args:
        states: one per model; values of a model of weight zero are not read.
        weights: numbers >= 0, not all zero.
        merge: merges double-precision weights of the models used, given those of the base (empty without one).
        base: the model from which all were fine-tuned.
        reach: fraction by which batch-norm statistics move from the base to their mean.

    Raises:
        ValueError: no model; an invalid weight; differing tensors, shapes, dtypes or integers; a value that is not
            finite, before or after. The message names the tensor.
    """
    if not states:
        raise ValueError("there is no model to merge: give one or more")
    require_weights(weights, len(states))
    names = [f"model {number}" for number in range(1, len(states) + 1)]
    given = [*states, *([] if base is None else [base])]
    require_one_layout([layout_of(state) for state in given], [*names, *([] if base is None else ["the base"])])
    used = [k for k, weight in enumerate(weights) if weight > 0]
    share = [float(weights[k]) for k in used]
    # The base, if any, comes last: it is compared and checked for finite values like the models, but has no weight.
    sources = [
        {key: value.detach() for key, value in state.items()}
        for state in [*(states[k] for k in used), *given[len(states) :]]
    ]
    called = [*(names[k] for k in used), "the base"]
    out: dict[str, Tensor] = {}
    for key, own in sources[0].items():
        values = [source[key] for source in sources]
        if not (own.is_floating_point() or own.is_complex()):
            out[key] = _integer(key, values[: len(used)], called)
        elif all(torch.equal(own, other) for other in values[1:]):
            out[key] = own.clone()
        else:
            _require_finite(key, values, called)
    moving = [key for key in sources[0] if key not in out]
    # `merge` also gets the tensors in which all agree, because they count in shares of the whole model.
    wide = [{key: _real(own) for key, own in source.items() if _is_weight(key, own)} for source in sources]
    merged = merge(wide[: len(used)], share, {} if base is None else wide[-1]) if wide[0] else {}
    for key in moving:
        if key in merged:
            out[key] = _as(sources[0][key], merged[key])
        else:
            values = [source[key] for source in sources]
            out[key] = _statistic(values[: len(used)], share, None if base is None else values[-1], reach)
        if not bool(torch.isfinite(out[key]).all()):
            raise ValueError(f"'{key}' is not finite once merged: it overflows its dtype")
    return {key: out[key] for key in sources[0]}


def _statistic(values: Sequence[Tensor], weights: Sequence[float], start: Tensor | None, reach: float) -> Tensor:
    if start is None:
        return linear_mean(values, weights)
    mean, origin = linear_mean([value.double() for value in values], weights), start.double()
    return (origin + min(max(reach, 0.0), 1.0) * (mean - origin)).to(start.dtype)


def _is_weight(key: str, value: Tensor) -> bool:
    return (value.is_floating_point() or value.is_complex()) and key.rsplit(".", 1)[-1] not in STATISTICS


def _real(value: Tensor) -> Tensor:
    """Convert to double precision, with real and imaginary parts interleaved along the last axis."""
    if not value.is_complex():
        return value.double()
    pairs = torch.view_as_real(value).double()
    return pairs.flatten(-2) if value.dim() else pairs


def _as(like: Tensor, value: Tensor) -> Tensor:
    if like.is_complex():
        value = torch.view_as_complex(value.reshape(*like.shape, 2).contiguous())
    return value.to(like.dtype)


def _integer(key: str, values: Sequence[Tensor], names: Sequence[str]) -> Tensor:
    if values[0].dim() == 0 and values[0].dtype != torch.bool:
        return torch.stack(list(values)).max().clone()
    for value, name in zip(values[1:], names[1:], strict=False):
        if not torch.equal(value, values[0]):
            raise ValueError(
                f"'{key}' holds integers or booleans that differ between {names[0]} and {name}: indices and masks have "
                "no mean"
            )
    return values[0].clone()


def _require_finite(key: str, values: Sequence[Tensor], names: Sequence[str]) -> None:
    for value, name in zip(values, names, strict=False):
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"'{key}' of {name} holds values that are not finite: its training diverged, leave it out")
