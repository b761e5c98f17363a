"""JSON Schemas of what chiasm writes: `make kinds` writes those of the package anew."""

from __future__ import annotations

import json
from pathlib import Path

import chiasm
from chiasm.artifact.json_schema import NAMES, model_schema
from chiasm.evaluation.document import trial_schema
from storable_kinds import every_kind


def made(name: str) -> str:
    """The text of a schema's file."""
    document = model_schema(every_kind()) if name == "model" else trial_schema()
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def file_of(name: str) -> Path:
    return Path(chiasm.__path__[0]) / "artifact" / f"{name}.schema.json"


def write() -> None:
    for name in NAMES:
        file_of(name).write_text(made(name), encoding="utf-8")


if __name__ == "__main__":
    write()
