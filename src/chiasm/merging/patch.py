"""Portable patches: a fine-tuning difference, made on one version of a base and applied to the next (PortLLM).

Source: arXiv 2410.10870.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.merging.layouts import layout_of, require_one_layout

State = Mapping[str, Tensor]
LIMIT = 0.1


@storable("patch")
@dataclass(frozen=True)
class Patch:
    """A portable patch: the difference between a fine-tuned model and its base.

    Args:
        delta: difference of each changed tensor, float64: float32 values are restored bit for bit, unless they are
            smaller than the base's by a factor of 2^29.
        architecture: hash of names, shapes and dtypes.
        base: hash of the base, values included.
    """

    delta: dict[str, np.ndarray]
    architecture: str
    base: str


@dataclass(frozen=True)
class Drift:
    """The drift of a base since a patch was made.

    Args:
        whole: `|new - old| / |old|` over all weights, Frobenius norms; 0 is the same base, 1 a different model.
        tensors: the same for each tensor.
        of_patch: `|new - old| / |patch|`: above one, the base moved further than the patch itself.
    """

    whole: float
    tensors: dict[str, float]
    of_patch: float


class DriftError(ValueError):
    """Error for a base that has drifted too far for a patch."""


def architecture_of(state: State) -> str:
    """Hash names, shapes and dtypes, independent of their order."""
    return hashlib.sha256(json.dumps(sorted(layout_of(state).items())).encode()).hexdigest()


def content_of(state: State) -> str:
    """Hash names, shapes, dtypes and values, independent of their order."""
    digest = hashlib.sha256(architecture_of(state).encode())
    for key in sorted(state):
        value = state[key].detach().cpu().contiguous().reshape(-1)
        digest.update(value.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def make_patch(base: State, tuned: State) -> Patch:
    """Create a patch, `delta = theta_FT - theta_0` of every floating-point tensor.

    Raises:
        ValueError: the models have different layouts, or integers or booleans differ other than single integer counts.
    """
    require_one_layout([layout_of(base), layout_of(tuned)], ["the base", "the fine-tuned model"])
    delta = {}
    for key, own in base.items():
        if torch.equal(own, tuned[key]):
            continue
        if not own.is_floating_point():
            if own.dim() == 0:  # a batch norm's count of batches
                continue
            raise ValueError(
                f"'{key}' holds integers or booleans, and fine-tuning changed them: a patch cannot say how"
            )
        delta[key] = (tuned[key].detach().double() - own.detach().double()).cpu().numpy()
    return Patch(delta, architecture_of(base), content_of(base))


def drift(patch: Patch, old: State, new: State) -> Drift:
    """Measure how far `new` has drifted from the base of the patch.

    Raises:
        ValueError: `old` is not the base that the patch was made from, or `new` is of another architecture.
    """
    _require_architecture(patch, new)
    if content_of(old) != patch.base:
        raise ValueError("the old base is not the one that the patch was made from: its values differ")
    floats = [key for key, value in old.items() if value.is_floating_point()]
    moved = {key: float((new[key].detach().double() - old[key].detach().double()).norm()) for key in floats}
    size = {key: float(old[key].detach().double().norm()) for key in floats}
    length = math.sqrt(sum(float(np.square(value).sum()) for value in patch.delta.values()))
    distance = math.hypot(*moved.values())
    return Drift(
        _ratio(distance, math.hypot(*size.values())),
        {key: _ratio(moved[key], size[key]) for key in floats},
        _ratio(distance, length),
    )


def apply_patch(patch: Patch, new: State, old: State | None = None, *, limit: float = LIMIT) -> dict[str, Tensor]:
    """Apply a patch, `theta'_FT ~ theta' + (theta_FT - theta_0)`, unless the base has drifted more than `limit`.

    The paper argues that the error is small; later work finds that patches age. For a quadratic loss the error is the
    change of curvature, so it grows with the drift. No threshold is published: the default is ours.

    Args:
        new: the base to patch. If it is the patch's own base, `old` is not needed.
        old: the base that the patch was made from, to measure the drift.
        limit: limit of `Drift.whole`.

    Raises:
        ValueError: another architecture, or a base that is not the patch's own without `old` to measure the drift.
        DriftError: the drift is above the limit.
    """
    _require_architecture(patch, new)
    if content_of(new) != patch.base:
        if old is None:
            raise ValueError(
                "this is not the base that the patch was made from: give that one too, to measure the drift"
            )
        found = drift(patch, old, new)
        if not found.whole <= limit:
            raise DriftError(
                f"the base has moved by {found.whole:.3g} of its norm since the patch was made, and the limit is "
                f"{limit:g}: fine-tune on the new base"
            )
    out = {}
    for key, own in new.items():
        value = own.detach()
        if key in patch.delta:
            value = (value.double() + torch.from_numpy(patch.delta[key]).to(value.device)).to(own.dtype)
        out[key] = value.clone()
    return out


def _require_architecture(patch: Patch, state: State) -> None:
    if architecture_of(state) != patch.architecture:
        raise ValueError("the base has other tensors, shapes or dtypes than the one that the patch was made from")


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else (0.0 if part == 0 else math.inf)
