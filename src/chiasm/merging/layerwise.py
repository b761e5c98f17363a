"""Layer-wise merging: different weights for different layers, as in published SLERP recipes (arXiv 2409.03444)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from chiasm.merging.layouts import layout_of, require_one_layout
from chiasm.merging.methods import Method, merge_models

State = Mapping[str, Tensor]


def merge_layers(
    states: Sequence[State],
    weights: Mapping[str, Sequence[float]],
    method: str | Method = "slerp",
    base: State | None = None,
    **options: Any,
) -> dict[str, Tensor]:
    """Merge models as `merge_models` does, with separate weights for each part of the network.

    Args:
        weights: one weight per model for each prefix of tensor names; the longest matching prefix counts, `""` is the
            rest. A granularity of `model` then refers to each part.

    Raises:
        ValueError: a tensor matches no prefix, a prefix matches no tensor, or `merge_models` refuses a part.
    """
    given = [*states, *([] if base is None else [base])]
    if not states:
        raise ValueError("there is no model to merge: give one or more")
    names = [f"model {number}" for number in range(1, len(states) + 1)]
    require_one_layout([layout_of(state) for state in given], [*names, *([] if base is None else ["the base"])])
    parts: dict[str, list[str]] = {prefix: [] for prefix in weights}
    for key in states[0]:
        owner = max((prefix for prefix in weights if key.startswith(prefix)), key=len, default=None)
        if owner is None:
            raise ValueError(f"no weights are given for '{key}': the prefix '' names the rest")
        parts[owner].append(key)
    for prefix, keys in parts.items():
        if not keys and prefix:
            raise ValueError(f"no tensor is left for the prefix '{prefix}'")
    merged: dict[str, Tensor] = {}
    for prefix, keys in parts.items():
        if keys:
            own = [{key: state[key] for key in keys} for state in given]
            merged |= merge_models(
                own[: len(states)], weights[prefix], method, own[-1] if base is not None else None, **options
            )
    return {key: merged[key] for key in states[0]}
