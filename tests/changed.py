"""Print the test files that a change touches: `python tests/changed.py main`, for `make test-changed`.

A test file is touched when it has changed, or when it imports, at any distance, a module that has. Recipes, encoders
and readers are also reached by what finds them by name. The laws of the house (folders, artifacts, documentation) are
always among them, and where a file is gone, or is no Python, or belongs to every test, all tests are.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterable, Set
from functools import cache
from pathlib import Path

from syntax import importing

ROOT = Path(__file__).parents[1]
ALWAYS = ("tests/test_architecture.py", "tests/artifact/test_artifact_kinds.py", "tests/test_docs.py")
EVERYWHERE = ("tests/conftest.py", "pyproject.toml", "constraints.txt", "Makefile")
BY_NAME = {  # a file that finds others by name, to the folders of these
    "tests/small_recipes.py": "recipes",
    "src/chiasm/recipes/catalogue.py": "recipes",
    "src/chiasm/encoders/catalogue.py": "encoders",
    "src/chiasm/readers/registry.py": "readers",
}
PLACES = {path.stem: path for path in (ROOT / "tests").rglob("*.py")}  # names are unique, and tests import by them


@cache
def place_of(module: str) -> Path | None:
    """The file of a module of ours, or of the tests."""
    if module.split(".")[0] != "chiasm":
        return PLACES.get(module)
    stem = ROOT / "src" / Path(*module.split("."))
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


@cache
def imports(path: Path) -> frozenset[Path]:
    """The files of ours that a file imports by name, in functions too; packages above a module count.

    So does, for a test, the `conftest.py` of its folder, but not that of all tests.
    """
    beside = path.with_name("conftest.py")
    found: set[Path] = {beside} if beside.is_file() and beside not in (path, ROOT / "tests" / "conftest.py") else set()
    own = str(path.relative_to(ROOT))
    if own in BY_NAME:
        found.update((ROOT / "src" / "chiasm" / BY_NAME[own]).rglob("*.py"))
    for node, _ in importing(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            parts = name.split(".")
            above = [place_of(".".join(parts[:k])) for k in range(1, len(parts) + 1)]
            found |= {place for place in above if place is not None}
    return frozenset(found)


def touched(changed: set[Path]) -> list[Path]:
    """The test files that import one of these at any distance, or are among them."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    importers: dict[Path, set[Path]] = {}
    for path in reached(tests, imports):
        for imported in imports(path):
            importers.setdefault(imported, set()).add(path)
    found = reached(changed, lambda path: importers.get(path, set()))
    return [test for test in tests if test in found]


def reached(starts: Iterable[Path], following: Callable[[Path], Set[Path]]) -> set[Path]:
    """Every file that follows from these at any distance, and themselves."""
    seen = set(starts)
    waiting = list(seen)
    while waiting:
        new = following(waiting.pop()) - seen
        seen |= new
        waiting.extend(new)
    return seen


def chosen(names: set[str]) -> list[str]:
    """The test files, or the folder of all, for the changed files of these names."""
    sources = {name for name in names if name.startswith(("src/", "tests/"))}
    if names & set(EVERYWHERE) or any(not name.endswith(".py") or not (ROOT / name).is_file() for name in sources):
        return ["tests"]
    found = touched({ROOT / name for name in sources})
    return sorted({*ALWAYS, *(str(path.relative_to(ROOT)) for path in found)})


if __name__ == "__main__":
    base = sys.argv[1] if len(sys.argv) > 1 else "main"
    said = [["diff", "--name-only", "--no-renames", base], ["ls-files", "--others", "--exclude-standard"]]
    told = [subprocess.check_output(["git", *words], cwd=ROOT, text=True) for words in said]
    print(*chosen({name for text in told for name in text.split()}))
