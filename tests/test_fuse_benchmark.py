"""The page of `benchmarks/fuse.py` says what its results say."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs" / "benchmarks.md", ROOT / "benchmarks" / "results" / "fuse.jsonl"


def test_the_page_is_what_the_results_give(tmp_path: Path) -> None:
    made = runpy.run_path(str(ROOT / "benchmarks" / "fuse.py"))
    copy = shutil.copy(PAGE, tmp_path / "page.md")
    made["write_part"](RESULTS, copy)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")
    lines = RESULTS.read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[0])
    row["lego-fuse"] = [-0.2, -0.3, -0.1]
    cut = tmp_path / "other.jsonl"
    cut.write_text("\n".join([json.dumps(row), *lines[1:3], lines[3][:20]]), encoding="utf-8")
    part = made["write_part"](cut, copy)
    assert "Of 6 intervals 1 lie below zero" in part
    assert json.loads(lines[3])["cohort"] in part.partition("Not run: ")[2], "a cut line is no result"
