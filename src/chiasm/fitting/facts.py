"""What a model folder says beside the model: what wrote it, how much was trained, the licences of its encoders."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from chiasm.cohort import Encoding
from chiasm.encoders.catalogue import CATALOGUE, entries
from chiasm.specs import name_and_options

PACKAGES = ("chiasm", "numpy", "pandas", "scikit-learn", "torch")
"""Packages on whose arithmetic a model depends, and our own."""


def facts_of(trained_parameters: int, encodings: Mapping[str, Encoding], holds: Sequence[str] = ()) -> dict[str, Any]:
    """Return what `artifact.save` keeps beside a model; of the same model in the same environment it is the same.

    Args:
        trained_parameters: number of them.
        encodings: modality to how it was encoded; a licence is that of the encoder's weights.
        holds: what the folder holds of training patients beyond fitted weights, a phrase each.
    """
    return {
        "python": platform.python_version(),
        "packages": versions(),
        "trained_parameters": int(trained_parameters),
        "licences": {name: licence_of(own.encoder) for name, own in encodings.items()},
        "holds_of_training": list(holds),
    }


@cache
def versions() -> dict[str, str]:
    """Return the versions of the packages, by name, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def licence_of(encoder: str) -> str:
    """Return the licence of an encoder's weights as the catalogue has it; "not known" for one that nobody lists."""
    name, _ = name_and_options(encoder)
    listed = {entry.name: entry.licence for entry in CATALOGUE}
    if name not in listed:  # scanning entry points is slow
        listed = {entry.name: entry.licence for entry in entries()}
    return listed.get(name, "not known")
