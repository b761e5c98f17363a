"""The page of laws and promises: what the tests hold, said in the tests' own first lines, with where each is held."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PAGE = """# Laws and promises

Each sentence is the first line of a test that can fail: break the code and it does. A number that is lacking is a
promise not yet made.

## Promises

{promises}

## Laws of every part

What the public checks (`chiasm.testing`) ask of a recipe, an encoder or a fusion, whoever wrote it, and where the same
is asked more closely.

{laws}
"""
NAME = re.compile(r"test_p(\d+)_")


def page(root: Path) -> str:
    """Markdown with a table of the promises in `tests/promises/`, and of the laws in CONTRIBUTING.md."""
    rows = []
    for file in sorted((root / "tests" / "promises").glob("test_p*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        said = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
        number = int(NAME.match(file.name)[1])  # type: ignore[index]
        held = sum(own.name.startswith("test_") for own in ast.walk(tree) if isinstance(own, ast.FunctionDef))
        text = re.sub(r"^P\d+: *", "", said)
        rows.append(f"| P{number} | {text[:1].upper()}{text[1:]} | `{file.relative_to(root).as_posix()}` | {held} |")
    table = "\n".join(["| | what you may rely on | its test | functions |", "|---|---|---|---|", *rows])
    laws = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| law | held by")
    return PAGE.format(promises=table, laws=laws[1] + laws[2].partition("\n\n")[0])
