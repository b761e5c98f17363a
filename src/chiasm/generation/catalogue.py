"""Generators by name, and one of a line such as `mixed-diffusion:steps=50`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from chiasm.errors import nearest
from chiasm.generation.copula import GaussianCopula
from chiasm.generation.generator import Generator
from chiasm.generation.mixed_diffusion import MixedDiffusion
from chiasm.specs import name_and_options, read_options

GENERATORS: Mapping[str, Callable[..., Generator]] = {
    "gaussian-copula": GaussianCopula, "mixed-diffusion": MixedDiffusion
}  # fmt: skip


def make_generator(spec: str, among: Mapping[str, Callable[..., Generator]] = GENERATORS) -> Generator:
    """Return the generator of a line `name:option=value,option=value`.

    Raises:
        ValueError: no generator has this name, or it has no such option.
    """
    name, options = name_and_options(spec)
    if name not in among:
        like = nearest(name, among)
        hint = f"did you mean '{like}'?" if like else f"there are {', '.join(among)}"
        raise ValueError(f"no generator is called '{name}': {hint}")
    made = among[name]
    known: dict[str, Any] = {own.name: own.default for own in fields(made)} if is_dataclass(made) else {}
    return made(**read_options(options, known, f"generator '{name}'"))
