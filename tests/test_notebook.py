"""The notebook of docs/ runs from frames to a prediction, and shows no patient."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "notebooks" / "from_frames.ipynb"
LONGEST = 12_000  # characters of one output: it fits on a screen
RUN = """\
import sys
import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

notebook = nbformat.read(sys.argv[1], as_version=4)
kernel = AsyncKernelManager(kernel_name="python3", transport="ipc")  # no port is opened
NotebookClient(notebook, km=kernel, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with its outputs, run by a kernel of its own."""
    import nbformat

    out = tmp_path_factory.mktemp("notebook") / "ran.ipynb"
    settings = {key: value for key, value in os.environ.items() if key not in ("MPLBACKEND", "PYTHONWARNINGS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN, str(NOTEBOOK), str(out)],
        env={**settings, "OMP_NUM_THREADS": "1", "IPYTHONDIR": str(out.parent)},
        capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return nbformat.read(out, as_version=4)


def outputs(ran: Any, mime: str) -> list[str]:
    return [
        out["data"][mime]
        for cell in ran.cells
        if cell.cell_type == "code"
        for out in cell.outputs
        if mime in out.get("data", {})
    ]


def test_the_stored_notebook_holds_no_output() -> None:
    import nbformat

    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


@pytest.mark.nightly  # as the pages of docs/: the first steps run the same each time, P39 holds what is shown
def test_it_shows_the_cohort_the_verdict_the_pictures_and_the_model(ran: Any) -> None:
    html = [unescape(text) for text in outputs(ran, "text/html")]
    assert any("made-up" in text and "180" in text for text in html)
    assert any("late-fusion" in text and "<table" in text and "combining" in text.lower() for text in html)
    assert any("Model 'late-fusion'" in text for text in html)
    assert any("survival_" in text for text in html)
    assert len(outputs(ran, "image/png")) == 5
    assert any("12 of 12 training sets" in text for text in outputs(ran, "text/plain"))


@pytest.mark.nightly  # as the pages of docs/: the first steps run the same each time, P39 holds what is shown
def test_nothing_that_it_shows_names_a_patient_or_fills_the_screen(ran: Any) -> None:
    for cell in ran.cells:
        for out in cell.get("outputs", []):
            assert out.output_type != "error" and out.get("name") != "stderr", out
            shown = [out.get("text", "")] + [text for mime, text in out.get("data", {}).items() if "image" not in mime]
            for text in shown:
                assert not re.search(r"case-\d{3}", text), "an identifier is shown"
                assert len(text) < LONGEST
