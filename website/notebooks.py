"""Run the notebooks of docs/ and keep what they showed: `python website/notebooks.py [NAME ...]`; show them as pages.

A notebook is stored with its outputs, so that whoever reads it without running it sees what it does. A test runs each
again and compares.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
# A kernel of its own, over a pipe: no port is opened.
RUN = """\
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc")
NotebookClient(notebook, km=kernel, timeout=600, record_timing=False).execute()
for cell in notebook.cells:  # a bar is of the run, and not of the answer
    if cell.cell_type == "code":
        bars = [own for own in cell.outputs if "training sets, " in own.get("data", {}).get("text/plain", "")]
        cell.outputs = [own for own in cell.outputs if own not in bars]
nbformat.write(notebook, sys.argv[2])
"""
NOT_THE_READERS = ("MPLBACKEND", "PYTHONWARNINGS")
Cell = dict[str, Any]


def names() -> list[str]:
    """Names of the notebooks, without their ending."""
    return sorted(own.stem for own in NOTEBOOKS.glob("*.ipynb"))


def cells_of(file: Path) -> list[Cell]:
    """Cells of a notebook, with texts as one string."""
    cells: list[Cell] = json.loads(file.read_text(encoding="utf-8"))["cells"]
    return cells


def titled(file: str) -> str:
    """The title of a notebook, by its place in the repository."""
    return "".join(cells_of(ROOT / file)[0]["source"]).partition("\n")[0].removeprefix("# ")


def ran(name: str, out: Path) -> None:
    """Run a notebook and write it with its outputs."""
    settings = {key: value for key, value in os.environ.items() if key not in NOT_THE_READERS}
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", RUN, str(NOTEBOOKS / f"{name}.ipynb"), str(out)], text=True,
            env={**settings, "OMP_NUM_THREADS": "1", "IPYTHONDIR": place, "CHIASM_STORE": str(Path(place) / "store")},
            capture_output=True,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-4000:]}")


def page(name: str) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook with its outputs, and its pictures by the names under which the page asks for them."""
    written: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in cells_of(NOTEBOOKS / f"{name}.ipynb"):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            written.append(text)
            continue
        written.append(f"```python\n{text}\n```")
        for out in cell["outputs"]:
            written.append(_shown(out, name, pictures))
    title, _, rest = "\n\n".join(written).partition("\n")
    told = f'The notebook: <a download href="{name}.ipynb">{name}.ipynb</a>. Below a cell stands what it showed.'
    return f"{title}\n\n{told}\n{rest}\n", pictures


def _shown(out: dict[str, Any], name: str, pictures: dict[str, bytes]) -> str:
    """An output as markdown: a picture, else its HTML, else its text."""
    data = out.get("data", {})
    if "image/png" in data:
        file = f"{name}-{len(pictures) + 1}.png"
        pictures[file] = base64.b64decode("".join(data["image/png"]))
        return f'<img class="drawn" src="{file}" alt="What the cell above draws" loading="lazy">'
    if "text/html" in data:
        html = re.sub(r"<style.*?</style>", "", "".join(data["text/html"]), flags=re.DOTALL)
        html = re.sub(r"<table[^>]*>", "<table>", html).strip()  # the site has its own look for one
        return f'<div class="shown">\n{"".join(line for line in html.splitlines() if line.strip())}\n</div>'
    text = "".join(out.get("text", data.get("text/plain", ""))).rstrip()
    return f"```text\n{text}\n```"


def main(asked: list[str]) -> None:
    """Run these notebooks, else all of them, and store each with its outputs."""
    unknown = [own for own in asked if own not in names()]
    if unknown:
        sys.exit(f"there is no notebook '{unknown[0]}': there are {', '.join(names())}")
    for name in asked or names():
        ran(name, NOTEBOOKS / f"{name}.ipynb")
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
