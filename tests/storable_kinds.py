"""Every kind that a model folder may hold, by importing all of the library."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

import chiasm
from chiasm import artifact


@cache
def every_kind() -> dict[str, type]:
    """Name to class, of the library alone; a module whose package is not installed fails the test that asks."""
    for module in pkgutil.walk_packages(chiasm.__path__, "chiasm."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    return {name: cls for name, cls in artifact._REGISTER.items() if cls.__module__.startswith("chiasm.")}
