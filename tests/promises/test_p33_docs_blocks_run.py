"""P33: every block of Python and bash in the README and in docs/ runs, offline, on a CPU.

In `make test` those of the README, of the first steps and of the guides are forked from the process of the tests, which
saves the imports of each start; trials have two folds, few draws, ridges alone and empty pictures. In `make nightly`
each starts by itself and does as it is told, as a reader's does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from blank_figures import undrawn
from chiasm.api import trials
from command_line import Run
from forked import forked
from lighter_trials import only_ridges
from served_commands import serve_commands

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
BY_DAY = [name for name in NAMES if name in ("README.md", "docs/first_steps.md") or "/guides/" in name]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Refuses every connection, and looks like a machine without a network from the inside.
OFFLINE = """\
import socket
def refuse(*arguments, **named):
    raise OSError("this test has no network")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refuse
"""


def blocks(page: Path) -> Iterator[tuple[str, str, int]]:
    """Language, text and first line of each block that a reader would run."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if match[1] in ("python", "bash"):
            yield match[1], match[2], text.count("\n", 0, match.start()) + 2


def script(page: Path) -> str:
    """One program of a page: Python blocks share a namespace, bash blocks run between them, all in one folder."""
    lines = ["import subprocess, sys", "names = {'__name__': 'page'}", "sys.modules['page'] = type(sys)('page')"]
    lines.append("names = sys.modules['page'].__dict__")
    for language, text, line in blocks(page):
        place = f"{page.name}, line {line}"
        if language == "python":
            padded = "\n" * (line - 1) + text
            lines.append(f"exec(compile({padded!r}, {page.name!r}, 'exec'), names)")
        else:
            lines.append(f"if subprocess.run(['bash', '-euo', 'pipefail', '-c', {text!r}]).returncode:")
            lines.append(f"    sys.exit('the block of bash in {place} failed')")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_DAY)
def test_every_block_runs(name: str, tmp_path: Path) -> None:
    (tmp_path / "commands").mkdir()
    environment, said = prepared(tmp_path), tmp_path / "said"
    ended = os.waitpid(forked(partial(run_lightly, ROOT / name, tmp_path, environment, said)), 0)[1]
    assert ended == 0, f"{name}:\n{said.read_text()[-6000:]}"


def run_lightly(page: Path, place: Path, environment: dict[str, str], said: Path) -> None:
    """Run the blocks of a page in this process, which is theirs, beside one that its commands are forked from."""
    for number in (1, 2):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), number)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place / "work")
    whole = trials.run_trial

    def light(cohort: Any, recipes: Any, protocol: Any, **named: Any) -> Any:
        return whole(cohort, recipes, replace(protocol, folds=2, inner_folds=2, draws=100), **named)

    trials.run_trial = light
    with only_ridges(), undrawn():
        end = serve_commands(place / "commands")
        exec(OFFLINE, {})
        try:
            exec(compile(script(page), page.name, "exec"), {"__name__": "__main__"})
        finally:
            end()


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_every_block_runs_where_each_command_starts_by_itself(name: str, tmp_path: Path) -> None:
    page = ROOT / name
    program = [sys.executable, "-c", script(page)]
    environment = prepared(tmp_path)
    done = subprocess.run(program, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def prepared(place: Path) -> dict[str, str]:
    """Folders to run the blocks of a page in, and an environment without a network."""
    (place / "site").mkdir()
    (place / "site" / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    (place / "work").mkdir()
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(place / "commands"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(place / "site"), str(ROOT / "src")]),
        "CHIASM_STORE": str(place / "store"),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }


def test_the_first_steps_have_blocks_of_both_languages() -> None:
    languages = [language for language, _, _ in blocks(ROOT / "docs" / "first_steps.md")]
    assert languages.count("python") >= 4 and languages.count("bash") >= 1


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nvalue = 1\n```\n\n```bash\nfalse\n```\n\n```console\nnever run\n```\n", encoding="utf-8"
    )
    assert [language for language, _, _ in blocks(page)] == ["python", "bash"]
    done = subprocess.run([sys.executable, "-c", script(page)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "page.md, line 6" in done.stderr


@pytest.mark.parametrize("words", [["recipes", "no-such-recipe"], ["recipes", "late-fusion"]])
def test_a_served_command_speaks_and_ends_as_one_that_was_started(words: list[str], tmp_path: Path, run: Run) -> None:
    expected = run(*words)
    end = serve_commands(tmp_path)
    try:
        done = subprocess.run([tmp_path / "chiasm", *words], cwd=tmp_path, capture_output=True, text=True)
    finally:
        end()
    assert (done.returncode, done.stdout, done.stderr) == (expected.code, expected.out, expected.err)
    assert done.returncode == (2 if "no-such-recipe" in words else 0) and done.stdout + done.stderr
