"""Layouts of models (names, shapes and dtypes of tensors), compared before any value is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

Layout = dict[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of each tensor by name, as in a state dict or the header of a file."""


def layout_of(state: Mapping[str, Tensor]) -> Layout:
    """Return the layout of a state dict."""
    return {key: (tuple(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in state.items()}


def require_one_layout(layouts: Sequence[Layout], names: Sequence[str]) -> None:
    """Check that all models have the layout of the first.

    Args:
        layouts: one layout per model.
        names: the models' names for error messages, such as "model 2" or "the base".

    Raises:
        ValueError: a tensor is missing, or a shape or dtype differs; the message names tensors.
    """
    first = layouts[0]
    for own, name in zip(layouts[1:], names[1:], strict=True):
        lacking, more = sorted(set(first) - set(own)), sorted(set(own) - set(first))
        if lacking or more:
            said = [f"lacks {_listed(lacking)}"] if lacking else []
            said += [f"has {_listed(more)} more"] if more else []
            raise ValueError(f"{name} and {names[0]} do not have the same tensors: {name} {' and '.join(said)}")
        for position, what in ((0, "shape"), (1, "dtype")):
            odd = [key for key in first if first[key][position] != own[key][position]]
            if odd:
                here, there = first[odd[0]][position], own[odd[0]][position]
                others = f"; {len(odd)} tensors differ" if len(odd) > 1 else ""
                raise ValueError(f"'{odd[0]}' has {what} {here} in {names[0]} and {there} in {name}{others}")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} others" if len(names) > 3 else "")
