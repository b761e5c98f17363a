"""`items.jsonl` of a run: what was asked with its answers, so that it is scored without the files of the suite."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from chiasm.bench.item import Attachment, Item


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Write the items that were asked, with their answers, so that they can be scored without the suite's files."""
    lines = []
    for item in items:
        own: dict[str, Any] = {
            "id": item.id, "question": item.question, "options": item.options, "answer": item.answer,
            "group": item.group, "tags": dict(item.tags), "context": item.context,
            "attachments": [
                {"kind": file.kind, "path": str(file.path), "size": file.measured} for file in item.attachments
            ],
        }  # fmt: skip
        lines.append(json.dumps({name: value for name, value in own.items() if value}))
    write_text(path, "\n".join(lines) + "\n")


def read_items(path: Path) -> list[Item]:
    """Read the items of a run.

    Raises:
        ValueError: the file lacks or is damaged.
    """
    if not path.is_file():
        raise ValueError(f"'{path.name}' lacks in the folder of the run: run it again with the same --out")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            files = tuple(map(_attachment, row.get("attachments", ())))
            found.append(
                Item(
                    row["id"], row["question"], tuple(row.get("options", ())), tuple(row["answer"]),
                    row.get("group", ""), row.get("tags", {}), row.get("context", ""), files,
                )
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"line {number} of '{path.name}' is damaged: run it again with the same --out") from None
    return found


def _attachment(row: Mapping[str, Any]) -> Attachment:
    size = row.get("size")
    return Attachment(str(row["kind"]), Path(row["path"]), size=None if size is None else int(size))
