"""Progress is drawn where somebody watches, and a script that is piped says nothing."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from chiasm import progress
from chiasm.progress import followed
from lighter_trials import ridges_by_day

WATCHED = """
import time
from chiasm import progress
with progress.followed("training sets", None) as told:
    for done in range(4):
        told(done, 4)
        time.sleep(0.3)
    told(4, 4)
print("done")
"""


def run_in_terminal(code: str) -> tuple[str, str]:
    """Run Python with standard error on a terminal, and standard output in a pipe."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            seen += part
        out = process.stdout.read() if process.stdout is not None else ""
    os.close(ours)
    return out, seen.decode()


def test_a_bar_in_a_terminal() -> None:
    out, seen = run_in_terminal(WATCHED)
    assert out == "done\n" and "training sets" in seen and "4/4" in seen


NAMED = """\
from chiasm import progress
with progress.Progressing("training sets") as told:
    told.named("TCGA {BRCA} [/old]\\x1b[2J", 1, 4)
    told.named("TCGA {BRCA} [/old]\\x1b[2J", 6, 6)
print("done")
"""


def test_a_name_with_braces_and_marks_is_shown_as_it_is_and_work_may_be_added() -> None:
    out, seen = run_in_terminal(NAMED)
    assert out == "done\n" and "TCGA {BRCA} [/old]" in seen and "6/6" in seen and "\x1b[2J" not in seen


def test_nothing_in_a_script(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)  # a line would be written at once
    with followed("sources", None) as told:
        told("scan", 1, 2)
        told(2, 2)
    assert capsys.readouterr() == ("", "")


def test_what_is_given_is_called_and_no_bar_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "is_watched", lambda: True)
    heard: list[tuple[object, ...]] = []
    with followed("sources", lambda *told: heard.append(told)) as told:
        told("scan", 1, 2)
    assert heard == [("scan", 1, 2)]


def test_a_trial_and_an_encoding_are_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import chiasm

    drawn: list[str] = []

    class Heard(progress.Progressing):
        def __call__(self, done: int, everything: int) -> None:
            drawn.append(f"{self.what} {done}/{everything}")

    monkeypatch.setattr(progress, "is_watched", lambda: True)
    monkeypatch.setattr(progress, "Progressing", Heard)
    cohort = chiasm.synthetic_cohort("complementary", 60, target="regression", seed=0)
    with ridges_by_day():
        chiasm.evaluate(cohort, ["late-fusion"], chiasm.Protocol(folds=2, repeats=1, draws=100), jobs=1)
    dna = pd.DataFrame({"dna": ["ACGT" * 5] * len(cohort)}, index=cohort.ids)
    notes = chiasm.cohort_from_frames(pd.DataFrame(index=cohort.ids), {"dna": dna}, kinds={"dna": "dna"})
    trained, drawn[:] = list(drawn), []
    chiasm.encode(notes, jobs=1)
    assert drawn and all(line.startswith("sources") for line in drawn)
    drawn = trained
    assert drawn[-1].startswith("training sets") and drawn[-1].split(" ")[-1].split("/")[0] == drawn[-1].split("/")[-1]
