"""The shape of the package: who imports whom, how long a file is, what an import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "chiasm"
FILES = sorted(PACKAGE.rglob("*.py"))

ANYONE = {"tokens", "protocols", "artifact"}
PARTS = {
    "cohort",
    "readers",
    "encoders",
    "adapters",
    "fusion",
    "heads",
    "merging",
    "objectives",
    "training",
    "evaluation",
}
MAY_IMPORT = {
    "tokens": set(),
    "protocols": {"tokens"},
    "artifact": set(),
    "cohort": set(),
    "readers": {"cohort"},
    "encoders": {"cohort", "readers"},
    "adapters": {"cohort", "readers", "encoders"},
    "fusion": set(),
    "heads": {"cohort"},
    "merging": set(),
    "objectives": set(),
    "training": {"cohort", "encoders", "adapters", "fusion", "heads", "objectives"},
    "evaluation": {"cohort"},
    "recipes": PARTS,
    "retrieval": PARTS | {"recipes", "chiasm"},
    "report": PARTS | {"recipes", "chiasm"},
    "federated": PARTS | {"recipes", "chiasm"},
    "testing": PARTS | {"recipes", "api", "chiasm"},
    "doctor": PARTS | {"recipes", "chiasm"},
    "api": PARTS | {"recipes", "retrieval", "report", "federated", "doctor", "chiasm"},
    "screen": set(),
    "cli": {"api", "screen", "chiasm"},
    "__init__": PARTS | ANYONE | {"api"},
    "__main__": {"cli"},
}
LONGEST = 400
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)(_|$)")
MACHINE_PATH = re.compile(r"/(work|root|home|Users|mnt|tmp)/[A-Za-z]|[A-Z]:\\\\[A-Za-z]")
HELP_SECONDS = 0.5
IMPORT_SECONDS = 1.0
GENEROUS = 1.5  # a shared machine


def part_of(file: Path) -> str:
    """The folder, or the module where it lies beside the folders."""
    place = file.relative_to(PACKAGE)
    return place.parts[0] if len(place.parts) > 1 else place.stem


def imported(tree: ast.AST, file: Path) -> Iterator[tuple[int, str]]:
    """Line and part of the package of every import, inside functions too; `chiasm` for the package itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            inside = file.relative_to(PACKAGE.parent).with_suffix("").parts[: -node.level]
            names = [".".join([*inside, *filter(None, [node.module])])]
        elif isinstance(node, ast.ImportFrom) and node.module == "chiasm":
            known = {part_of(path) for path in FILES}
            names = [f"chiasm.{alias.name}" if alias.name in known else "chiasm" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "chiasm":
                yield node.lineno, parts[1] if len(parts) > 1 else "chiasm"


def offences(code: str, file: Path) -> list[str]:
    """The imports of a file that the table does not allow."""
    own = part_of(file)
    allowed = MAY_IMPORT[own] | {own} | ({"tokens", "protocols", "artifact"} if own not in ANYONE | {"cli"} else set())
    return [
        f"line {line}: {own} imports {part}" for line, part in imported(ast.parse(code), file) if part not in allowed
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_folder_imports_what_the_table_names(file: Path) -> None:
    assert part_of(file) in MAY_IMPORT, "a new folder: give it a row in the table"
    assert offences(file.read_text(encoding="utf-8"), file) == []


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("cohort/cohort.py", "from chiasm.encoders import pack"),
        ("cohort/cohort.py", "import chiasm.recipes.registry as registry"),
        ("cohort/cohort.py", "def late():\n    from chiasm import api"),
        ("evaluation/run.py", "if True:\n    from chiasm.training.pool import side_by_side"),
        ("fusion/lego.py", "from ..heads import head"),
        ("cli.py", "from chiasm.cohort import Cohort"),
        ("cli.py", "from chiasm.artifact import save"),
        ("report/page.py", "from chiasm.testing import check_recipe"),
        ("screen.py", "from chiasm import api"),
    ],
)
def test_an_import_against_the_table_is_found(where: str, code: str) -> None:
    assert offences(code, PACKAGE / where)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_one_idea_a_file(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) < LONGEST
    assert not EMPTY_NAMES.search(file.stem), "name the file after what is in it"
    assert not EMPTY_NAMES.search(file.parent.name)


def test_no_path_of_a_machine_is_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in filter(None, tracked.stdout.split("\0")):
        if name in ("LICENSE", "tests/test_architecture.py") or not (ROOT / name).is_file():
            continue
        text = (ROOT / name).read_bytes().decode("utf-8", "ignore")
        found += [f"{name}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


def test_importing_chiasm_is_quick_and_takes_no_torch() -> None:
    code = "import sys, chiasm; dir(chiasm); assert not {'torch', 'pandas', 'numpy', 'typer'} & set(sys.modules)"
    assert best_of_three(["-c", code]) < IMPORT_SECONDS * GENEROUS


def test_help_is_quick_and_takes_no_torch() -> None:
    assert best_of_three(["-m", "chiasm", "--help"]) < HELP_SECONDS * GENEROUS
    code = "import sys, chiasm.cli; assert not {'torch', 'pandas', 'numpy', 'chiasm.api'} & set(sys.modules)"
    assert best_of_three(["-c", code]) < HELP_SECONDS * GENEROUS


def best_of_three(arguments: list[str]) -> float:
    """Seconds of the quickest of three runs of Python."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
