"""P33: every block of Python and bash in the README and in docs/ runs, offline, on a CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
EACH_TIME = {"README.md"}  # the other pages in `make nightly`
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
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name, marks=() if name in EACH_TIME else pytest.mark.nightly)
        for page, name in ((page, page.relative_to(ROOT).as_posix()) for page in PAGES)
    ],
)
def test_every_block_runs(page: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(OFFLINE, encoding="utf-8")
    (tmp_path / "work").mkdir()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "site"),
        "CHIASM_STORE": str(tmp_path / "store"),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", script(page)], cwd=tmp_path / "work", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{page.name}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_the_readme_has_blocks_of_both_languages() -> None:
    languages = [language for language, _, _ in blocks(PAGES[0])]
    assert languages.count("python") >= 4 and languages.count("bash") >= 1


def test_a_block_that_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nvalue = 1\n```\n\n```bash\nfalse\n```\n\n```console\nnever run\n```\n", encoding="utf-8"
    )
    assert [language for language, _, _ in blocks(page)] == ["python", "bash"]
    done = subprocess.run([sys.executable, "-c", script(page)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "page.md, line 6" in done.stderr
