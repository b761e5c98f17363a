"""Generators by name, and one of a line such as `mixed-diffusion:steps=50`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any, TypeVar

from chiasm.errors import nearest
from chiasm.generation.adversarial_pictures import AdversarialPictures
from chiasm.generation.coded_pictures import PictureCodes
from chiasm.generation.copula import GaussianCopula
from chiasm.generation.generator import Generator
from chiasm.generation.latent_pictures import LatentDiffusion
from chiasm.generation.mixed_diffusion import MixedDiffusion
from chiasm.generation.picture_diffusion import PROCESSES, PictureDiffusion
from chiasm.generation.picture_generator import PictureGenerator
from chiasm.specs import name_and_options, read_options

Made = TypeVar("Made")
GENERATORS: Mapping[str, Callable[..., Generator]] = {
    "gaussian-copula": GaussianCopula, "mixed-diffusion": MixedDiffusion
}  # fmt: skip
"""Of tables."""
PICTURES: Mapping[str, Callable[..., PictureGenerator]] = {
    **{name: partial(PictureDiffusion, name) for name in PROCESSES},
    "latent-diffusion": LatentDiffusion, "vqvae": PictureCodes, "gan": AdversarialPictures,
}  # fmt: skip
"""Of images and volumes."""


def make_generator(spec: str, among: Mapping[str, Callable[..., Made]], what: str = "generator") -> Made:
    """Return the generator of a line `name:option=value,option=value`; `what` they are is for the messages.

    Raises:
        ValueError: no generator has this name, or it has no such option.
    """
    name, options = name_and_options(spec)
    if name not in among:
        like = nearest(name, among)
        hint = f"did you mean '{like}'?" if like else f"there are {', '.join(among)}"
        raise ValueError(f"no {what} is called '{name}': {hint}")
    return among[name](**read_options(options, _known(among[name]), f"{what} '{name}'"))


def _known(maker: Any) -> dict[str, Any]:
    """The options of what makes a generator, with what each is unless it is given; not those that are given already."""
    made, given = (maker.func, len(maker.args)) if isinstance(maker, partial) else (maker, 0)
    return {own.name: own.default for own in fields(made)[given:]} if is_dataclass(made) else {}
