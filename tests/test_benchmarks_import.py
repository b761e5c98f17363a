"""Benchmarks import what there is: they are run rarely, and what they import moves in between."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FILES = sorted(path for path in BENCHMARKS.rglob("*.py"))


def imported(text: str) -> list[tuple[str, str]]:
    """Module and name of each import of the library; "" for a whole module."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "chiasm":
            found += [(str(node.module), name.name) for name in node.names]
        elif isinstance(node, ast.Import):
            found += [(name.name, "") for name in node.names if name.name.partition(".")[0] == "chiasm"]
    return found


def lacking(text: str) -> list[str]:
    """Imports of what is not there."""
    found = []
    for module, name in imported(text):
        try:
            if not name or hasattr(import_module(module), name):
                continue
            import_module(f"{module}.{name}")
        except ImportError:
            found.append(f"{module}.{name}")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(BENCHMARKS)))
def test_a_benchmark_imports_what_there_is(file: Path) -> None:
    assert lacking(file.read_text(encoding="utf-8")) == []


def test_what_is_not_there_is_found() -> None:
    lines = [
        "from chiasm.evaluation.summary import pick",
        "from chiasm.nowhere import x",
        "from chiasm.metrics import table",
    ]
    assert lacking("\n".join(lines)) == ["chiasm.evaluation.summary.pick", "chiasm.nowhere.x"]
