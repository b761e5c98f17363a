"""Combination of several adapters in one network, each at its own sites, attached, counted and removed as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from chiasm.adapters.part import Part
from chiasm.artifact import storable


@storable("adapter-together")
@dataclass(frozen=True)
class Together:
    """Several adapters, `adapters[i]` at `sites[i]`; peft adapters are excluded. Attach at all of these sites or some.

    Args:
        adapters: adapters with their options.
        sites: names of the sites of each adapter; no name twice.
    """

    adapters: tuple[Any, ...]
    sites: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        every = self.every
        if len(self.adapters) != len(self.sites) or len(set(every)) != len(every):
            raise ValueError("give each adapter its sites, and each site to one adapter")

    @property
    def every(self) -> tuple[str, ...]:
        """Sites of all adapters."""
        return tuple(name for own in self.sites for name in own)

    def parts(self, sites: Mapping[str, nn.Module]) -> dict[str, Part]:
        unknown = [name for name in sites if name not in self.every]
        if unknown:
            raise ValueError(f"no adapter is meant for the site '{unknown[0]}'")
        made: dict[str, Part] = {}
        for adapter, own in zip(self.adapters, self.sites, strict=True):
            chosen = {name: sites[name] for name in own if name in sites}
            made |= adapter.parts(chosen) if chosen else {}
        return made
