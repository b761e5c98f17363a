"""The imports in the syntax tree of a file, for the tests that read all files: each is parsed once in a process."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any

BY_NAME = ("import_module", "loaded")
"""Functions that import a module whose name is a text."""
BLOCKS = frozenset(("body", "handlers", "orelse", "finalbody", "cases"))
"""What statements stand in, of a statement, a handler of exceptions or a case."""


@cache
def importing(code: str) -> tuple[tuple[ast.Import | ast.ImportFrom | ast.Call, bool], ...]:
    """Every import of a piece of code, in functions too, and each call that imports by a name.

    With each whether it runs: what only a type checker reads does not.
    """
    tree = ast.parse(code)
    found: list[tuple[ast.Import | ast.ImportFrom | ast.Call, bool]] = [
        (node, runs) for node, runs in statements(tree) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    if any(name in code for name in BY_NAME):
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        found += [(node, True) for node in calls if last_name(node.func).endswith(BY_NAME)]
    return tuple(found)


def statements(tree: ast.Module) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement, those below others too, and whether it runs. No expression is walked through: a tenth of all."""
    waiting: list[tuple[list[Any], bool]] = [(tree.body, True)]
    while waiting:
        block, runs = waiting.pop()
        for node in block:
            if isinstance(node, ast.stmt):
                yield node, runs
            for name in BLOCKS.intersection(node._fields):
                typed = name == "body" and isinstance(node, ast.If) and last_name(node.test) == "TYPE_CHECKING"
                waiting.append((getattr(node, name), runs and not typed))


def last_name(node: ast.AST) -> str:
    """`c` of `c`, `a.c` and `a.b.c`; nothing of anything else."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
