"""The shape of the package: who imports whom, how long a file is, what an import costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import chiasm
from syntax import importing

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "chiasm"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
IMPORTS_CONFTEST = re.compile(r"^\s*(from|import) conftest\b", re.MULTILINE)

ROW = re.compile(r"^\| (`.+?) \| .+ \| (.+?) \|$", re.MULTILINE)


def table() -> tuple[set[str], dict[str, set[str]]]:
    """Who may be imported by anyone, and part to the parts that it may import, from CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    _, _, below = text.partition("| in `src/chiasm/` |")
    rows = [
        ([part.removesuffix("/").removesuffix(".py") for part in re.findall(r"`([^`]+)`", names)], allowed)
        for names, allowed in ROW.findall(below.partition("\n\n")[0])
    ]
    anyone = set(rows[0][0])
    may: dict[str, set[str]] = {part: set(anyone) for part in anyone}
    for parts, allowed in rows[1:]:
        above = set(may) if "all above" in allowed else set()
        named = {word.strip() for word in allowed.removeprefix("only ").split(",")} - {"-", "all above"}
        for part in parts:
            may[part] = above | named | (set() if allowed.startswith("only ") else anyone)
    for part in ("doctor", "cli"):  # the version
        may[part] |= {"chiasm"}
    everything = set(may)
    return anyone, {**may, "__init__": everything, "__main__": {"cli"}}


ANYONE, MAY_IMPORT = table()
LONGEST = 400
EMPTY_NAMES = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc)(_|$)")
MACHINE_PATH = re.compile(r"/(work|root|home|Users|mnt|tmp)/[A-Za-z]|[A-Z]:\\\\[A-Za-z]")


def part_of(place: str) -> str:
    """The row of the table that a file or a module belongs to: `recipes/baselines` before `recipes`."""
    parts = place.removesuffix(".py").split("/")
    return next(("/".join(parts[:k]) for k in (2, 1) if "/".join(parts[:k]) in MAY_IMPORT), parts[0])


def imported(code: str, place: str) -> Iterator[tuple[int, str]]:
    """Line and part of every import of ours, in functions and by `import_module` too; `chiasm` for the package itself.

    A public name of the package belongs to the part that defines it.
    """
    for node, _ in importing(code):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            inside = ["chiasm", *place.split("/")][: -node.level] if node.level else []
            module = ".".join([*inside, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
        else:
            texts = [own.values[0] if isinstance(own, ast.JoinedStr) else own for own in node.args]
            names = [own.value for own in texts if isinstance(own, ast.Constant) and isinstance(own.value, str)]
        for name in names:
            if name.split(".")[0] == "chiasm":
                within = ".".join(name.split(".")[1:])
                within = chiasm._PUBLIC.get(within, f"chiasm.{within}").removeprefix("chiasm.")
                part = part_of(within.replace(".", "/"))
                yield node.lineno, part if part in MAY_IMPORT else "chiasm"


def offences(code: str, place: str) -> list[str]:
    """The imports of a file that the table does not allow."""
    own = part_of(place)
    return [
        f"line {line}: {own} imports {part}"
        for line, part in imported(code, place)
        if part not in MAY_IMPORT[own] | {own}
    ]


def test_a_folder_imports_what_the_table_names() -> None:
    places = {file.relative_to(PACKAGE).as_posix(): file for file in FILES}
    new = [place for place in places if part_of(place) not in MAY_IMPORT]
    assert new == [], "a new folder: give it a row in the table of CONTRIBUTING.md"
    found = {place: offences(file.read_text(encoding="utf-8"), place) for place, file in places.items()}
    assert {place: lines for place, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("cohort/cohort.py", "from chiasm.encoders import pack"),
        ("cohort/cohort.py", "import chiasm.recipes.registry as registry"),
        ("cohort/cohort.py", "def late():\n    from chiasm import api"),
        ("evaluation/run.py", "if True:\n    from chiasm.training.loop import train"),
        ("fusion/lego.py", "from ..heads import head"),
        ("fitting/base.py", "from chiasm.recipes.registry import make_recipe"),
        ("recipes/baselines/late.py", "from chiasm.recipes.fusion.healnet import HealNetRecipe"),
        ("recipes/adaptation/lora.py", "from chiasm.recipes.tunings import tuned"),
        ("federated/folder.py", "from chiasm.report.page import render"),
        ("cohort/cohort.py", "from chiasm import evaluate"),
        ("cohort/cohort.py", "from chiasm import *"),
        ("cohort/cohort.py", "import chiasm\n\nchiasm.fit"),
        ("cohort/cohort.py", "from importlib import import_module\nimport_module('chiasm.recipes.registry')"),
        ("fitting/base.py", "from importlib import import_module\nimport_module(f'chiasm.recipes.{name}')"),
        ("fitting/base.py", "from chiasm.specs import loaded\nloaded(f'chiasm.recipes.baselines.{name}')"),
        ("cli.py", "from chiasm import open_cohort"),
        ("cli.py", "from chiasm.cohort import Cohort"),
        ("cli.py", "from chiasm.artifact import save"),
        ("report/page.py", "from chiasm.testing import check_recipe"),
        ("screen.py", "from chiasm import api"),
    ],
)
def test_an_import_against_the_table_is_found(where: str, code: str) -> None:
    assert offences(code, where)


def test_one_idea_a_file() -> None:
    lengths = {str(file.relative_to(PACKAGE)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    assert {place: lines for place, lines in lengths.items() if lines >= LONGEST} == {}
    empty = [file for file in FILES if EMPTY_NAMES.search(file.stem) or EMPTY_NAMES.search(file.parent.name)]
    assert empty == [], "name the file after what is in it"


def test_no_test_imports_a_conftest() -> None:
    """Several folders have one, and which of them the name means depends on which test was collected first."""
    assert [file.name for file in TESTS if IMPORTS_CONFTEST.search(file.read_text(encoding="utf-8"))] == []
    names = [file.name for file in TESTS if file.name != "conftest.py"]
    assert len(set(names)) == len(names)


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


def test_importing_chiasm_and_its_help_take_no_package_but_those_of_the_command_line() -> None:
    """What starting costs is what is imported; `benchmarks/startup.py` prints the seconds."""
    assert packages_after("import chiasm\ndir(chiasm)") == ["chiasm"]
    asked = "from chiasm.cli import main\nsys.argv = ['chiasm', '--help']\ntry:\n    main()\nexcept SystemExit: pass"
    assert packages_after(asked) == ["chiasm", "click", "shellingham", "typer"]


def packages_after(code: str) -> list[str]:
    """The packages, but for Python's own, that a new Python has loaded after this code and had not before."""
    names = "{name.split('.')[0] for name in sys.modules if getattr(sys.modules[name], '__file__', None)}"
    code = f"import sys\nbefore = {names}\n{code}\nprint(*sorted({names} - before - sys.stdlib_module_names))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[-1].split()


def test_a_check_takes_no_torch(tmp_path: Path) -> None:
    rows = [f"p{number},{number % 2},{number}.5" for number in range(40)]
    (tmp_path / "patients.csv").write_text("id,y,x\n" + "\n".join(rows))
    (tmp_path / "cohort.toml").write_text(
        'name = "small"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\n'
        'column = "y"\n[modalities.m]\nkind = "table"\ncolumns = ["x"]\n'
    )
    code = (
        "import sys\nfrom chiasm.cli import main\nsys.argv = ['chiasm', 'check', sys.argv[1]]\ntry:\n    main()\n"
        "except SystemExit as done:\n    assert not done.code\n"
        "assert not {'torch', 'sklearn', 'scipy.stats', 'chiasm.recipes'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "cohort.toml")], check=True, capture_output=True)
