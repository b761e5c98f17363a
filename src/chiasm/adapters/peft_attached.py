"""Attachment of peft adapters behind the common adapter interface, with bitwise restoration of the base."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.adapters.freeze import MARK, Freeze
from chiasm.adapters.identity import base_tensors, fingerprint, same_tensors, structure
from chiasm.adapters.part import load_state
from chiasm.adapters.peft_families import PeftAdapter, peft
from chiasm.cohort import Unsupported
from chiasm.encoders.text.causal import cache_name


class PeftAttached:
    """Handle of an attached peft adapter, created by `attach` and used like `Attached`.

    peft replaces the sites by its own layers, so `state_dict` has other names while attached. Call `model`: the network
    itself, or peft's wrapper of it for prompts and prefixes.
    """

    def __init__(self, model: nn.Module, adapter: PeftAdapter, sites: Mapping[str, nn.Module], seed: int) -> None:
        self.config = adapter.peft_config(sites)
        self._wraps = bool(self.config.is_prompt_learning)
        if not self._wraps:
            _check_sites(model, sites)
        self.base, self.adapter, self.sites, self.seed = model, adapter, tuple(sites), seed
        self._base_tensors = base_tensors(model)
        self.identity = structure(model), fingerprint(self._base_tensors)
        self._places = {name: (_parent(model, name), name.rpartition(".")[2], sites[name]) for name in sites if name}
        self._kept: list[tuple[nn.Parameter, Tensor]] = []
        self._merged_state: dict[str, Tensor] | None = None
        self._removed = False
        self._install()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield every trainable parameter by peft's name; none while merged."""
        if self._merged_state is None:
            for name, parameter in self._peft.named_parameters():
                if id(parameter) not in self._own_of_base:
                    yield name.removeprefix("base_model.model."), parameter

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield the trainable parameters, for an optimiser."""
        return (parameter for _, parameter in self.named_parameters())

    def count(self) -> int:
        """Return the number of trainable parameters."""
        return sum(tensor.numel() for tensor in self.state().values())

    def state(self) -> dict[str, Tensor]:
        """Return copies of the adapter's own tensors, without the base."""
        if self._merged_state is not None:
            return {name: tensor.clone() for name, tensor in self._merged_state.items()}
        return {name: parameter.detach().clone() for name, parameter in self.named_parameters()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load the adapter's tensors, with the checks of `Attached.load`."""
        load_state(dict(self.named_parameters()), state, merged=self.merged)

    def check_base(self) -> None:
        """Raise `ValueError` naming a tensor of the base that has changed since `attach`."""
        if not self.merged:
            same_tensors(fingerprint(self._base_tensors), self.identity[1])

    @contextlib.contextmanager
    def disabled(self) -> Iterator[nn.Module]:
        """Disable the adapter inside a `with` block; call the network that it yields."""
        if self._wraps:  # the base was not touched
            yield self.base
        else:
            with self._peft.disable_adapter():
                yield self.base

    @property
    def merged(self) -> bool:
        """True while the network holds the merged weights."""
        return self._merged_state is not None

    def merge(self) -> nn.Module:
        """Merge the changed weights into the network, as `Attached.merge`; prompts and prefixes cannot be merged."""
        self._present()
        if self.merged:
            return self.base
        if self._wraps:
            raise Unsupported(f"{type(self.adapter).__name__} changes no weight: it cannot be merged")
        state = self.state()
        for name, tensor in state.items():
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"merging makes a weight not finite: the adapter has diverged at '{name}'")
        self._kept = [(p, p.detach().clone()) for *_, site in self._places.values() for p in site.parameters()]
        try:
            with _quiet():
                self._peft.base_model.merge_and_unload(safe_merge=True, adapter_names=self._peft_names)
        except ValueError:  # a weight is not finite; earlier sites are merged already
            self._lift()
            self._give_back()
            self._install()
            self.load(state)
            raise ValueError("merging makes a weight not finite: the adapter has diverged") from None
        self._merged_state = state
        self._lift()
        for parent, child, site in self._places.values():
            held = parent._modules[child]
            if held is not site and held is not None:  # the copy of a norm replaces it, with its flags and mode
                held.__dict__.pop(MARK, None)
                held.training = site.training
                for parameter, old in zip(held.parameters(), site.parameters(), strict=True):
                    parameter.requires_grad_(old.requires_grad)
        return self.base

    def unmerge(self) -> None:
        """Undo `merge`: restore the base and attach the adapter again; do nothing if not merged."""
        self._present()
        if self._merged_state is not None:
            state, self._merged_state = self._merged_state, None
            self._give_back()
            self._install()
            self.load(state)

    def remove(self) -> nn.Module:
        """Restore the base bitwise as before `attach`."""
        self._present()
        if self.merged:
            self._give_back()
        else:
            if not self._wraps:
                self._peft.base_model.unload()
            self._lift()
            self._give_back()
        self._removed = True
        return self.base

    def _install(self) -> None:
        self._freeze = Freeze(self.base)
        self._own_of_base = {id(parameter) for parameter in self.base.parameters()}
        self._fields = set(vars(self.base))
        # torch's fused encoder layer reads the weights of its Linears without calling them; a hook disables fusion.
        layers = [module for module in self.base.modules() if isinstance(module, nn.TransformerEncoderLayer)]
        self._hooks = [layer.register_forward_hook(_nothing) for layer in layers]
        if self._wraps and cache_name(self.base) == "cache":
            self._hooks.append(self.base.register_forward_pre_hook(_renamed_cache, with_kwargs=True))
        try:
            with _quiet(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(self.seed)
                self._peft = peft().get_peft_model(self.base, self.config)
                self._peft_names = ["default", *(f"group-{i}" for i in range(1, self.adapter.groups))]
                for name in self._peft_names[1:]:
                    self._peft.add_adapter(name, self.config)
                if self.adapter.groups > 1:
                    self._peft.base_model.set_adapter(self._peft_names)
        except BaseException:
            self._lift()
            self._give_back()
            raise
        self.model: nn.Module = self._peft if self._wraps else self.base
        for module in self._peft.modules():
            if MARK not in module.__dict__:
                module.training = self.base.training

    def _lift(self) -> None:
        for handle in self._hooks:
            handle.remove()
        for field in vars(self.base).keys() - self._fields:
            del self.base.__dict__[field]
        self._freeze.lift()

    def _give_back(self) -> None:
        for parent, child, site in self._places.values():
            parent._modules[child] = site
        for parameter, data in self._kept:
            parameter.data = data
        self._kept = []

    def _present(self) -> None:
        if self._removed:
            raise ValueError("this adapter was removed: attach it again")


def _check_sites(model: nn.Module, sites: Mapping[str, nn.Module]) -> None:
    owners: dict[int, str] = {}
    for name, module in model.named_modules():
        for parameter in module._parameters.values():
            other = owners.setdefault(id(parameter), name) if parameter is not None else name
            if other != name and {other, name} & set(sites):
                raise ValueError(
                    f"'{other}' and '{name}' share a weight: merging would change both, choose other sites"
                )
    for name, module in sites.items():
        if not name:
            raise ValueError(
                f"peft cannot replace the network itself, a {type(module).__name__}: put it in a Sequential"
            )
        if isinstance(_parent(model, name), nn.MultiheadAttention):
            raise ValueError(f"torch reads the weight of '{name}' and never calls it: choose other sites")
        if isinstance(module, nn.LayerNorm) and isinstance(_parent(model, name), nn.TransformerEncoderLayer):
            raise ValueError(f"torch reads the fields of '{name}', which peft's norm lacks: take ScaleShift there")


def _parent(model: nn.Module, name: str) -> nn.Module:
    return model.get_submodule(name.rpartition(".")[0])


def _nothing(module: nn.Module, args: Any, output: Any) -> None:
    return None


def _renamed_cache(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Pass peft's `past_key_values` on as `cache`, the model's name for it."""
    if "past_key_values" in kwargs:
        kwargs["cache"] = kwargs.pop("past_key_values")
    return args, kwargs


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
