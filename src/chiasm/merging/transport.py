"""Optimal transport fusion: match hidden units before averaging (Singh and Jaggi, arXiv 1910.05653)."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from chiasm.merging.tensors import linear_mean, require_weights

State = Mapping[str, Tensor]


def transport_plan(cost: Tensor) -> Tensor:
    """Solve `argmin_T <T, cost>` over plans whose rows sum to `1 / n` and columns to `1 / m`, with POT's `emd`.

    Raises:
        ModuleNotFoundError: POT is missing; the message names the pip command.
    """
    try:
        import ot  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ModuleNotFoundError('optimal transport needs POT: pip install "chiasm[transport]"') from None
    cost = cost.double()
    rows, columns = (torch.full((size,), 1 / size, dtype=torch.float64) for size in cost.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # POT warns about rounding differences of sums
        plan = ot.emd(rows.numpy(), columns.numpy(), cost.numpy())
    return torch.from_numpy(plan)


def matched_rows(own: Tensor, anchor: Tensor) -> Tensor:
    """Match the rows of `own` to those of `anchor` by the permutation `argmin_P sum_d |own[P(d)] - anchor[d]|^2`.

    Args:
        own, anchor: `(D, F)`.

    Returns:
        `(D,)` int64 `order`, such that the rows of `own[order]` correspond to those of `anchor`.

    Raises:
        ModuleNotFoundError: POT is missing.
    """
    return transport_plan(torch.cdist(own.double(), anchor.double()).square()).argmax(0)


def transport_mean(states: Sequence[State], weights: Sequence[float], chain: Sequence[str]) -> dict[str, Tensor]:
    """Average multilayer perceptrons after aligning their hidden units with those of one of them, the anchor.

    Layer by layer, with `n` own and `m` anchor hidden units and a plan `T` `(n, m)`: `W <- m T' (W n T_before)`, the
    bias moving with its row; then all are averaged. The cost is the squared distance of rows and biases (the paper's
    weight-based alignment). Columns are transformed by `n T`, where the paper has `m T`: the same for equal widths, and
    otherwise the parts of a split unit add up to the original. Rows of the last layer are outputs (classes or a hazard)
    and never move: the released code of MM-Lego moves those of its heads, and so mixes classes.

    The anchor is the model of largest weight, among equal ones chosen by a hash of its values, so that the order of the
    models does not matter. Others may have more or fewer hidden units: the anchor's number is kept.

    Args:
        states: linear layers with elementwise nonlinearities in between: `NAME.weight` `(out, in)`, optional
            `NAME.bias`.
        weights: numbers >= 0, not all zero; a model of weight zero is not used.
        chain: the layers' NAMEs from input to output.

    Raises:
        ValueError: a tensor that belongs to no layer of the chain, consecutive layers that do not fit, or differing
            inputs, outputs or dtypes.
        ModuleNotFoundError: POT is missing.
    """
    if not states:
        raise ValueError("there is no model to merge: give one or more")
    require_weights(weights, len(states))
    for number, state in enumerate(states, start=1):
        _require_chain(state, chain, number)
    ends = {(s[f"{chain[0]}.weight"].shape[1], s[f"{chain[-1]}.weight"].shape[0]) for s in states}
    kinds = {(key, value.dtype) for state in states for key, value in state.items()}
    if len(ends) > 1 or len(kinds) != len(states[0]) or any(set(state) != set(states[0]) for state in states):
        raise ValueError("models whose hidden units are matched have the same layers, inputs, outputs and dtypes")
    used = [k for k, weight in enumerate(weights) if weight > 0]
    anchor = max(used, key=lambda k: (weights[k], _digest(states[k])))
    fixed = states[anchor]
    own = _digest(fixed)
    moved = [dict(fixed) if _digest(states[k]) == own else _aligned(states[k], fixed, chain) for k in used]
    share = [weights[k] for k in used]
    return {
        key: linear_mean([one[key].double() for one in moved], share).to(value.dtype) for key, value in fixed.items()
    }


def _aligned(state: State, anchor: State, chain: Sequence[str]) -> dict[str, Tensor]:
    """Align the hidden units of a state with the anchor's; return it in float64."""
    out: dict[str, Tensor] = {}
    plan: Tensor | None = None  # (n own hidden units, m of the anchor) of the previous layer
    for name in chain:
        weight = state[f"{name}.weight"].detach().double()
        if plan is not None:
            weight = weight @ plan * len(plan)
        rows = _with_bias(weight, state.get(f"{name}.bias"))
        if name != chain[-1]:
            target = _with_bias(anchor[f"{name}.weight"].detach().double(), anchor.get(f"{name}.bias"))
            plan = transport_plan(torch.cdist(rows, target).square())
            rows = plan.T @ rows * plan.shape[1]
        out[f"{name}.weight"] = rows[:, : weight.shape[1]]
        if rows.shape[1] > weight.shape[1]:
            out[f"{name}.bias"] = rows[:, -1]
    return out


def _with_bias(weight: Tensor, bias: Tensor | None) -> Tensor:
    return weight if bias is None else torch.cat([weight, bias.detach().double()[:, None]], 1)


def _digest(state: State) -> str:
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f"{key}{tuple(state[key].shape)}".encode())
        digest.update(state[key].detach().double().cpu().numpy().tobytes())
    return digest.hexdigest()


def _require_chain(state: State, chain: Sequence[str], number: int) -> None:
    known = {f"{name}.{part}" for name in chain for part in ("weight", "bias")}
    odd = sorted(set(state) - known) + [f"{name}.weight" for name in chain if f"{name}.weight" not in state]
    if odd or not chain:
        raise ValueError(
            f"model {number}: '{odd[0] if odd else 'weight'}' does not fit the chain of layers that is named"
        )
    before: int | None = None
    for name in chain:
        shape = tuple(state[f"{name}.weight"].shape)
        if len(shape) != 2 or before not in (None, shape[1]):
            raise ValueError(f"'{name}.weight' of model {number} is {shape} and does not follow on the layer before it")
        before = shape[0]
