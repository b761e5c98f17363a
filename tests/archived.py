"""The archive of models: a folder a release, its cases, and the storable kinds in each model folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ARCHIVE = Path(__file__).parent / "archive"
RELEASES = sorted(path for path in ARCHIVE.iterdir() if (path / "cases.json").is_file())


def kinds_in(folder: Path) -> set[str]:
    """The names of the parts that a model folder holds."""
    found: set[str] = set()
    _collect(json.loads((folder / "model.json").read_text(encoding="utf-8"))["model"], found)
    return found


def _collect(node: Any, found: set[str]) -> None:
    if isinstance(node, dict):
        found |= {node["$kind"]} if "$kind" in node else set()
        for item in node.values():
            _collect(item, found)
    elif isinstance(node, list):
        for item in node:
            _collect(item, found)
