"""Registry of model-merging methods by name, and the function that applies them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Protocol

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.breadcrumbs import Breadcrumbs
from chiasm.merging.dare import Dare, DareTies
from chiasm.merging.means import Linear, Slerp
from chiasm.merging.states import assemble
from chiasm.merging.task_arithmetic import TaskArithmetic
from chiasm.merging.ties import Ties

State = Mapping[str, Tensor]


class Method(Protocol):
    """Protocol of a merging method: a frozen dataclass of options, called on and returning double-precision weights.

    `reach` is the fraction by which batch-norm statistics move from the base to their mean.
    """

    id: ClassVar[str]
    needs_base: ClassVar[bool]
    paper: ClassVar[Citation]

    @property
    def reach(self) -> float: ...

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]: ...


METHODS: dict[str, Any] = {cls.id: cls for cls in (Linear, Slerp, TaskArithmetic, Ties, Dare, DareTies, Breadcrumbs)}


def make_method(name: str, **options: Any) -> Method:
    """Create a method from its name and options.

    Raises:
        ValueError: an unknown method or option (with the nearest known one), or a value of the wrong type or range.
    """
    if name not in METHODS:
        raise ValueError(f"no way of merging is called '{name}': {_hint(name, list(METHODS))}")
    known: dict[str, Any] = {field.name: field.default for field in fields(METHODS[name])}
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"'{name}' has no option '{option}': {_hint(option, list(known))}")
        wanted = type(known[option])
        whole = wanted is float and isinstance(value, int)
        if isinstance(value, bool) != (wanted is bool) or not (whole or isinstance(value, wanted)):
            raise ValueError(f"option '{option}' of '{name}' is {wanted.__name__}, and {value!r} is not")
        options[option] = wanted(value)
    method: Method = METHODS[name](**options)
    return method


def require_base(method: Method, given: bool) -> None:
    """Check that a base is given exactly if the method needs one.

    Raises:
        ValueError: the base is missing, or the method would ignore it.
    """
    if method.needs_base and not given:
        raise ValueError(f"'{method.id}' merges what models learned since a common base: give the base")
    if given and not method.needs_base:
        raise ValueError(f"'{method.id}' has no use for a base: leave it out, or choose a method that needs one")


def merge_models(
    states: Sequence[State],
    weights: Sequence[float] | None = None,
    method: str | Method = "linear",
    base: State | None = None,
    **options: Any,
) -> dict[str, Tensor]:
    """Merge several state dicts into one; see `assemble` for tensors that are not weights, and for what is refused.

    Everything except values is checked before a value is read.

    Args:
        states: one per model, with equal names, shapes and dtypes.
        weights: numbers >= 0, not all zero; only their ratios count, unless `normalize=False`. None: equal.
        method: a name of `METHODS`, with `options`, or a result of `make_method`.
        base: the model from which all were fine-tuned, for methods that need it.

    Raises:
        ValueError: models that do not fit, an unknown or invalid method or option, or values that are not finite.
    """
    if isinstance(method, str):
        method = make_method(method, **options)
    elif options:
        raise ValueError("options belong to a method's name: a method that is made has its own")
    require_base(method, base is not None)
    return assemble(states, [1.0] * len(states) if weights is None else weights, method, base, method.reach)


def _hint(word: str, known: Sequence[str]) -> str:
    like = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{like[0]}'?" if like else f"there are {', '.join(known) or 'none'}"
