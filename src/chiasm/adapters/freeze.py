"""Freezing of a base network: no gradients, fixed running statistics, and exact restoration afterwards."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor, nn

from chiasm.adapters.part import Part

SITE, MARK = "_chiasm_part", "_chiasm_adapted"


class Freeze:
    """Freeze of a network, which `lift` undoes by restoring flags, modes and classes.

    Every parameter loses `requires_grad`. A module that owns a buffer (running statistics, the vectors of a spectral
    norm) stays in evaluation mode even after `train()`, so that no forward pass writes to it; a module without one,
    dropout included, follows `train()` as before. torch's stack of encoder layers does not switch to nested tensors,
    which no other layer reads; padded positions therefore hold numbers instead of zeros while frozen.
    """

    def __init__(self, model: nn.Module) -> None:
        if any(MARK in module.__dict__ for module in model.modules()):
            raise ValueError("this network carries an adapter already: merge it or remove it before attaching another")
        self.flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self.modes = [(module, module.training) for module in model.modules()]
        self.classes: list[tuple[nn.Module, Any]] = [(module, type(module)) for module in model.modules()]
        encoders = [module for module in model.modules() if isinstance(module, nn.TransformerEncoder)]
        self.nested = [(encoder, encoder.use_nested_tensor) for encoder in encoders]
        for parameter, _ in self.flags:
            parameter.requires_grad_(False)
        for encoder, _ in self.nested:
            encoder.use_nested_tensor = False
        for module, kind in self.classes:
            module.__dict__[MARK] = True
            if any(buffer is not None for buffer in module._buffers.values()):
                module.__class__ = _still(kind)
                module.training = False

    def lift(self) -> None:
        """Restore the network bitwise as it was; its parameters are the same objects."""
        for module, kind in self.classes:
            module.__class__ = kind
            module.__dict__.pop(SITE, None)
            module.__dict__.pop(MARK, None)
        for module, mode in self.modes:
            module.training = mode
        for parameter, flag in self.flags:
            parameter.requires_grad_(flag)
        for encoder, nested in self.nested:
            encoder.use_nested_tensor = nested


def read_through(module: nn.Module, part: Part) -> None:
    """Make reads of the weights that `part` changes return the changed values; the module's parameters stay in place.

    Reading `module.weight` gives `part.changed("weight", W)` for every reader: the module's forward, torch's fused
    encoder layer, or an attention that uses its projection's weight without calling it. `state_dict` still holds W.
    """
    module.__dict__[SITE] = part
    kind: Any = type(module)
    module.__class__ = _adapted(kind, part.changes)


@cache
def _still(kind: Any) -> type[nn.Module]:
    def train(self: Any, mode: bool = True) -> Any:
        kind.train(self, mode)
        self.training = False
        return self

    return type(kind.__name__, (kind,), {"train": train, "__module__": kind.__module__})


@cache
def _adapted(kind: Any, names: tuple[str, ...]) -> type[nn.Module]:
    body: dict[str, Any] = {name: property(_reader(name)) for name in names}
    return type(kind.__name__, (kind,), {**body, "__module__": kind.__module__})


def _reader(name: str) -> Callable[[Any], Tensor | None]:
    def read(self: Any) -> Tensor | None:
        base: Tensor | None = self._parameters[name]
        part = self.__dict__[SITE]
        try:
            return base if part.off else part.changed(name, base)
        except AttributeError as error:  # nn.Module would silently fall back to the base's weight
            raise RuntimeError(f"the adapter's part failed on '{name}': {error}") from error

    return read
