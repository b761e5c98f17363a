"""Attachment of an adapter to a frozen network: counting, training, merging and removing its parameters."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, overload

import torch
from torch import Tensor, nn

from chiasm.adapters.freeze import Freeze, read_through
from chiasm.adapters.identity import base_tensors, fingerprint, same_tensors, structure
from chiasm.adapters.part import Adapter, Part, load_state
from chiasm.adapters.peft_attached import PeftAttached
from chiasm.adapters.peft_families import PeftAdapter
from chiasm.cohort import Unsupported

Where = Callable[[str, nn.Module], bool]


@overload
def attach(model: nn.Module, adapter: PeftAdapter, where: Where, *, seed: int = 0) -> PeftAttached: ...
@overload
def attach(model: nn.Module, adapter: Adapter, where: Where, *, seed: int = 0) -> Attached: ...
def attach(model: nn.Module, adapter: Adapter | PeftAdapter, where: Where, *, seed: int = 0) -> Attached | PeftAttached:
    """Attach `adapter` to every submodule for which `where(name, submodule)` is true, and freeze the rest.

    The network keeps its own parameters, in place and frozen, and its `state_dict` does not change. Call the network as
    before. Everything is checked before anything is modified.

    Args:
        model: any network; its root has the name "".
        adapter: an adapter family with its options, such as `ScaleShift()`.
        where: a predicate over names and submodules.
        seed: seed for the initial weights; the global generator is unchanged.

    Raises:
        ValueError: there is no site, the adapter does not accept a site, a site is never called, or the network already
            carries an adapter.
    """
    sites = {name: module for name, module in model.named_modules() if where(name, module)}
    if not sites:
        raise ValueError("no submodule is a site of this adapter: `where` was false for all of them")
    if isinstance(adapter, PeftAdapter):
        return PeftAttached(model, adapter, sites, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = adapter.parts(sites)
    for name, part in parts.items():
        _check_site(model, name, sites[name], part)
        like = next(sites[name].parameters(), next(model.parameters(), None))
        if like is not None and like.is_floating_point():
            part.to(like.device, like.dtype)
    return Attached(model, adapter, parts)


class Attached:
    """Handle of an attached adapter, created by `attach`.

    `model` is the network to call. `identity` identifies the base, so that a saved adapter fits no other network.
    """

    def __init__(self, model: nn.Module, adapter: Adapter, parts: dict[str, Part]) -> None:
        self.model, self.adapter, self.parts = model, adapter, parts
        self._base = base_tensors(model)
        self.identity = structure(model), fingerprint(self._base)
        self._replaced: list[tuple[nn.Module, str, nn.Parameter | None]] = []
        self._removed = False
        self._install()

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the submodules that carry a part."""
        return tuple(self.parts)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every trainable parameter once, named `site/parameter`; a shared one is named after its first site."""
        for name, tensor in tensors_of(self.parts):
            if isinstance(tensor, nn.Parameter):
                yield name, tensor

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the trainable parameters, for an optimiser."""
        return (parameter for _, parameter in self.named_parameters())

    def count(self) -> int:
        """Return the number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def state(self) -> dict[str, Tensor]:
        """Return copies of the adapter's own tensors, without the base."""
        return {name: tensor.detach().clone() for name, tensor in tensors_of(self.parts)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load the tensors returned by `state` of an equal adapter; an error leaves the adapter unchanged.

        Raises:
            ValueError: a tensor, named in the message, is missing, unknown, of another shape or not finite, or the
                adapter is merged.
        """
        load_state(dict(tensors_of(self.parts)), state, merged=self.merged)

    def check_base(self) -> None:
        """Raise `ValueError` naming a tensor of the base that has changed since `attach`."""
        if not self.merged:
            same_tensors(fingerprint(self._base), self.identity[1])

    @contextlib.contextmanager
    def disabled(self) -> Iterator[nn.Module]:
        """Disable the attached adapter inside a `with` block, so that the network acts as the base."""
        for part in self.parts.values():
            part.off = True
        try:
            yield self.model
        finally:
            for part in self.parts.values():
                part.off = False

    @property
    def merged(self) -> bool:
        """True while the network holds the merged weights."""
        return bool(self._replaced)

    def merge(self) -> nn.Module:
        """Merge the changed weights into the network, which is then a plain network with its original flags.

        Raises:
            Unsupported: a part changes outputs instead of weights.
            ValueError: a merged weight is not finite (the network is unchanged), or the adapter was removed.
        """
        self._present()
        if self._replaced:
            return self.model
        fixed = [name for name, part in self.parts.items() if not part.changes]
        if fixed:
            raise Unsupported(f"{type(self.adapter).__name__} at '{fixed[0]}' changes no weight: it cannot be merged")
        merged: list[tuple[nn.Module, str, Tensor]] = []
        with torch.no_grad():
            for site, part in self.parts.items():
                module = self.model.get_submodule(site)
                for name in part.changes:
                    weight = part.changed(name, module._parameters[name]).detach().clone()
                    if not bool(torch.isfinite(weight).all()):
                        raise ValueError(f"merging makes '{site}.{name}' not finite: the adapter has diverged")
                    merged.append((module, name, weight))
        flags = {id(parameter): flag for parameter, flag in self._freeze.flags}
        self._uninstall()
        for module, name, weight in merged:
            old = module._parameters[name]
            self._replaced.append((module, name, old))
            module._parameters[name] = nn.Parameter(weight, requires_grad=old is None or flags.get(id(old), True))
        return self.model

    def unmerge(self) -> None:
        """Undo `merge`: restore the base and attach the adapter again; do nothing if not merged."""
        self._present()
        if not self._replaced:
            return
        self._give_back()
        self._install()

    def remove(self) -> nn.Module:
        """Restore the base bitwise as before `attach`: parameters, buffers, `requires_grad` and modes."""
        self._present()
        if self._replaced:
            self._give_back()
        else:
            self._uninstall()
        self._removed = True
        return self.model

    def _install(self) -> None:
        self._freeze = Freeze(self.model)
        self._hooks = []
        for site, part in self.parts.items():
            module = self.model.get_submodule(site)
            if part.changes:
                read_through(module, part)
            else:
                self._hooks.append(module.register_forward_hook(_hook(part), with_kwargs=True))

    def _uninstall(self) -> None:
        for handle in self._hooks:
            handle.remove()
        self._freeze.lift()

    def _give_back(self) -> None:
        for module, name, old in self._replaced:
            module._parameters[name] = old
        self._replaced = []

    def _present(self) -> None:
        if self._removed:
            raise ValueError("this adapter was removed: attach it again")


def tensors_of(parts: Mapping[str, Part]) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter and buffer of the parts once, named `site/tensor`."""
    seen: set[int] = set()
    for site, part in parts.items():
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            if id(tensor) not in seen:
                seen.add(id(tensor))
                yield f"{site}/{name}", tensor


def _check_site(model: nn.Module, name: str, module: nn.Module, part: Part) -> None:
    for weight in part.changes:
        if weight not in module._parameters:
            raise ValueError(f"the site '{name}' computes its '{weight}' itself: it has no parameter of that name")
    parent = model.get_submodule(name.rpartition(".")[0]) if name else None
    if not part.changes and isinstance(parent, nn.MultiheadAttention):
        raise ValueError(f"torch reads the weight of '{name}' and never calls it: choose the attention that holds it")


def _hook(part: Part) -> Callable[..., Any]:
    def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if part.off:
            return output
        given = next(value for value in [*args, *kwargs.values()] if isinstance(value, Tensor))
        if isinstance(output, tuple):  # attention and transformer blocks return several values
            return (part(given, output[0]), *output[1:])
        return part(given, output)

    return after
