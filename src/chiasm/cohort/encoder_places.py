"""Where a manifest's encoders find the folders and files that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

NAMED = re.compile(r"(?<=[:,])(weights|folder)=([^,\[\]]+)")


def encoders_beside(specs: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """Return the encoders that are named, each as `beside` finds its files."""
    return {name: beside(spec, folder) for name, spec in specs.items() if spec}


def beside(spec: str, folder: Path) -> str:
    """Let an encoder's `weights=` or `folder=` name what lies beside the manifest, where nothing lies where it runs.

    A whole path stays as it is, and so does one from where the command runs, or one that is nowhere, of which the
    encoder says so.

    Args:
        spec: an encoder's name and options, as `sequence:weights=encoder`.
        folder: in which the manifest lies, as it was named.
    """

    def place(found: re.Match[str]) -> str:
        option, own = found.groups()
        there = folder / own
        if Path(own).is_absolute() or _exists(Path(own)) or not _exists(there) or "," in str(there):
            return found[0]
        return f"{option}={there}"

    return NAMED.sub(place, spec)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name of a file
        return False
