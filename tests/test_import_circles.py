"""No module of ours imports itself by way of others, in a function neither."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import chiasm
from syntax import importing, last_name

PACKAGE = Path(chiasm.__file__).parent


def name_of(file: Path) -> str:
    parts = ["chiasm", *file.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(code: str, modules: Mapping[str, object]) -> set[str]:
    """The modules that a module imports when it is loaded or later: `from a import b` is a.b where that is a module."""
    found: set[str] = set()
    for node in (own for own, runs in importing(code) if runs):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if inside <= set(modules) else inside | {node.module}
        elif isinstance(node, ast.Call) and last_name(node.func).endswith("import_module"):
            found |= {str(own.value) for own in node.args if isinstance(own, ast.Constant)}
    return found & set(modules)


def circle(codes: Mapping[str, str]) -> list[str]:
    """The modules of one circle, the first one again at the end; none where there is no circle."""
    try:
        TopologicalSorter({name: imports(code, codes) for name, code in codes.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle({name_of(file): file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}) == []


@pytest.mark.parametrize(
    "code",
    [
        "import chiasm.a",
        "from chiasm.a import name",
        "from chiasm import a",
        "def late():\n    from chiasm.a import name",
        "if TYPE_CHECKING:\n    import chiasm.c\nelse:\n    import chiasm.a",
        'from importlib import import_module\n\nimport_module("chiasm.a")',
    ],
)
def test_a_circle_is_found(code: str) -> None:
    codes = {"chiasm": "", "chiasm.a": "from chiasm.b import name", "chiasm.b": "import chiasm.c", "chiasm.c": code}
    assert set(circle(codes)) == {"chiasm.a", "chiasm.b", "chiasm.c"}


def test_what_only_a_type_checker_reads_closes_no_circle() -> None:
    late = "if TYPE_CHECKING:\n    from chiasm.a import name"
    assert circle({"chiasm.a": "from chiasm.b import name", "chiasm.b": late}) == []
