"""A kind of target is asked, never compared by name: only the tables of the folders name the kinds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chiasm.heads.kinds import HEADS
from chiasm.linear.losses import LOSSES
from chiasm.metrics.table import METRICS
from chiasm.models.export.kinds import KINDS_IN_ONNX
from chiasm.report.kinds import PAGES
from chiasm.targets import KINDS

PACKAGE = Path(__file__).parents[1] / "src" / "chiasm"
FILES = sorted(PACKAGE.rglob("*.py"))
TEMPLATES = sorted(PACKAGE.rglob("*.j2"))

OWN = "targets/"
TABLES = {
    "linear/losses.py": "LOSSES",
    "heads/kinds.py": "HEADS",
    "metrics/table.py": "METRICS",
    "report/kinds.py": "PAGES",
    "models/export/kinds.py": "KINDS_IN_ONNX",
}
"""File to the one dictionary in it that may name the kinds."""

CLASSES = {own.__name__ for own in KINDS.values()}
NAMED = re.compile(rf"""["'](?:{"|".join(KINDS)})["']|{"|".join(CLASSES)}""")  # where none stands, the tree has none
READING = {"get", "pop", "setdefault", "startswith", "endswith", "index", "count", "removeprefix", "__eq__"}


COMMON = {"mask", "text"}
"""Kinds whose name is an everyday word of the code too: a kind of modality, a key of FHIR, a part of a loss,
which tokens are real."""


def is_kind(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and node.value in KINDS.keys() - COMMON


def of_target(node: ast.AST) -> bool:
    """True for what is called the kind of a target, a trial or a response, with which the common names are compared."""
    said = ast.unparse(node)
    return any(own in said for own in ("target", "trial", "response")) and said.rpartition(".")[2] == "kind"


def common_compared(node: ast.Compare) -> bool:
    sides = [node.left, *node.comparators]
    words = [own for side in sides for own in ast.walk(side) if isinstance(own, ast.Constant) and own.value in COMMON]
    return bool(words) and any(map(of_target, sides))


def is_class(node: ast.AST | None) -> bool:
    return (isinstance(node, ast.Name) and node.id in CLASSES) or (
        isinstance(node, ast.Attribute) and node.attr in CLASSES
    )


def several(node: ast.AST, least: int) -> bool:
    """True for a display, or a dictionary, with so many names or classes of kinds among its items, or keys."""
    if isinstance(node, ast.Dict):
        items: list[ast.expr | None] = list(node.keys)
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        items = list(node.elts)
    else:
        return False
    return sum(is_kind(own) or is_class(own) for own in items) >= least


def named(node: ast.AST) -> bool:
    """True for a name or a class of a kind, or a display with one."""
    return is_kind(node) or is_class(node) or several(node, 1)


def table_of(tree: ast.Module, place: str) -> set[ast.AST]:
    """The dictionary of this file that may name the kinds, with all that is in it."""
    for node in tree.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(target, ast.Name) and target.id == TABLES.get(place) and isinstance(node, ast.AnnAssign):
            assert node.value is not None
            return {node.value}
    return set()


def comparisons(code: str, place: str) -> list[str]:
    """The lines that tell kinds of target apart by name or by class, outside the file's own table."""
    if place.startswith(OWN) or not NAMED.search(code):
        return []
    tree, lines = ast.parse(code), dict[int, str]()
    for line, what in found_in(tree, table_of(tree, place)):
        lines.setdefault(line, f"{place}:{line} {what}")
    return list(lines.values())


def found_in(tree: ast.Module, allowed: set[ast.AST]) -> Iterator[tuple[int, str]]:
    """Line and what is done there."""
    for node in ast.walk(tree):
        if node in allowed:
            continue
        found = ""
        if isinstance(node, ast.Compare) and (any(map(named, (node.left, *node.comparators))) or common_compared(node)):
            found = "compares with a kind of target"
        elif isinstance(node, ast.MatchValue) and is_kind(node.value):
            found = "matches a kind of target"
        elif isinstance(node, ast.MatchClass) and is_class(node.cls):
            found = "matches the class of a kind of target"
        elif isinstance(node, ast.Subscript) and (is_kind(node.slice) or several(node.value, 1)):
            found = "looks a kind of target up"
        elif isinstance(node, ast.Call):
            found = _call(node)
        elif several(node, 2) and not isinstance(getattr(node, "ctx", None), ast.Store):
            found = "lists kinds of target"
        if found:
            yield getattr(node, "lineno", 0), found


def _call(node: ast.Call) -> str:
    asked = node.func
    if isinstance(asked, ast.Name) and asked.id in ("isinstance", "issubclass"):
        classes = [own for argument in node.args[1:] for own in ast.walk(argument)]
        return "asks for the class of a kind of target" if any(map(is_class, classes)) else ""
    if isinstance(asked, ast.Attribute) and asked.attr in READING:
        reads = any(map(is_kind, node.args)) or several(asked.value, 1)
        return "looks a kind of target up" if reads else ""
    return ""


def test_no_kind_is_compared_by_name() -> None:
    places = {file.relative_to(PACKAGE).as_posix(): file for file in FILES}
    assert [found for place, file in places.items() for found in comparisons(file.read_text("utf-8"), place)] == []


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: file.name)
def test_no_template_compares_one(file: Path) -> None:
    named = "|".join(KINDS.keys() - COMMON)
    assert re.findall(rf"""["'](?:{named})["']""", file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        'if kind == "survival": pass',
        'if trial.kind == "text": pass',
        'if self.target.kind in ("text", "else"): pass',
        'if "survival" != target.kind: pass',
        'sparse = kind in ("classification", "regression")',
        'sparse = kind in {"survival"}',
        'match kind:\n    case "multilabel": pass',
        "match target:\n    case Survival(): pass",
        "match target:\n    case chiasm.Survival(): pass",
        'names = {"survival": "events"}.get(kind, "patients")',
        'names = {"survival": "events"}[kind]',
        'WORDS = {"survival": "events", "multilabel": "labels"}',
        'loss = LOSSES["survival"]',
        'loss = LOSSES.get("survival")',
        'told = kind.startswith("survival")',
        'LOGITS = ("classification", "multilabel")',
        'KNOWN = ["classification", "multilabel"]',
        "if isinstance(target, Survival): pass",
        "if isinstance(target, (Survival, int)): pass",
        "if isinstance(target, Survival | None): pass",
        "if isinstance(target, chiasm.Survival): pass",
        "if type(target) is Survival: pass",
        "TABLE = {Survival: 1, Regression: 2}",
        "size = {Survival: 1}[type(target)]",
    ],
)
def test_a_planted_comparison_is_found(code: str) -> None:
    lines = comparisons(f"x = 1\n{code}", "evaluation/run.py")
    assert [line.partition(" ")[0] for line in lines] in (["evaluation/run.py:2"], ["evaluation/run.py:3"])
    assert not comparisons(code, "targets/survival.py")


@pytest.mark.parametrize(
    "code",
    [
        'def synthetic_cohort(name, target="classification"): pass',
        'target = Survival("days", "died")',
        "if target.has_times: pass",
        'if modality.kind == "text": pass',
        "loss = LOSSES[kind]",
        'EXTRAS = {"survival": ("scikit-survival",), "bags": ("h5py",)}',
        'raise ValueError("take a classification target")',
        "from chiasm.targets import Classification, Survival",
        "def read(target: Survival | Regression) -> None: pass",
    ],
)
def test_what_compares_nothing_is_left_alone(code: str) -> None:
    assert comparisons(code, "evaluation/run.py") == []


def test_a_table_names_the_kinds_in_its_own_file_alone() -> None:
    table = 'HEADS: dict[str, int] = {"survival": 1, "regression": 2}'
    assert comparisons(table, "heads/kinds.py") == []
    assert len(comparisons(table, "heads/head.py")) == 1
    assert len(comparisons(table.replace("HEADS", "OTHERS"), "heads/kinds.py")) == 1


NO_GRAPH = {"boxes", "choice", "mask", "text"}
"""Kinds whose prediction reads what no graph is given, as own options, or is no number; exporting one is refused."""


@pytest.mark.parametrize("table", [LOSSES, HEADS, METRICS, PAGES, KINDS_IN_ONNX], ids=TABLES.values())
def test_every_table_has_every_kind(table: dict[str, object]) -> None:
    assert set(table) == set(KINDS) - (NO_GRAPH if table is KINDS_IN_ONNX else set())
