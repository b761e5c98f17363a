"""The parts of docs/benchmarks.md that benchmarks write say what their results say."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


def made(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The functions of a benchmark, which may import its neighbours."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"))


@pytest.mark.parametrize(
    "name",
    [
        "attacks",
        "competing",
        "fuse",
        "starts",
        "lines",
        "fusion",
        "tuning",
        "explain",
        "texts",
        "knowledge",
        "language",
        "asking",
        "connected",
        "detection",
        "outlines_heads",
        "outlines_clicks",
        "outlines",
        "outline_volume",
        pytest.param("images", marks=pytest.mark.nightly),
    ],
)
def test_the_page_is_what_the_results_give(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copy(PAGE, tmp_path / "page.md")
    made(name, monkeypatch)["write_part"](ROOT / "benchmarks" / "results" / f"{name}.jsonl", copy)
    assert copy.read_text(encoding="utf-8") == PAGE.read_text(encoding="utf-8")


def test_a_cut_line_is_no_result_and_intervals_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (ROOT / "benchmarks" / "results" / "fuse.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(lines[0])
    row["lego-fuse"] = [-0.2, -0.3, -0.1]
    cut = tmp_path / "other.jsonl"
    cut.write_text("\n".join([json.dumps(row), *lines[1:3], lines[3][:20]]), encoding="utf-8")
    copy = shutil.copy(PAGE, tmp_path / "page.md")
    part = made("fuse", monkeypatch)["write_part"](cut, copy)
    assert "Of 6 intervals 1 lie below zero" in part
    assert json.loads(lines[3])["cohort"] in part.partition("Not run: ")[2]


@pytest.mark.parametrize(("shift", "said"), [(-0.02, "beyond"), (0.0, "within")])
def test_a_network_below_late_fusion_is_said_to_be(
    shift: float, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = made("starts", monkeypatch)
    row = {"cohort": "tcga-blca", "metric": "harrell_c", "patients": 9, "late-fusion": 0.6, "cpu": 1}
    row |= {name: [shift, shift - 0.1, shift + 0.1] for name in starts["RECIPES"][1:]}
    results = tmp_path / "starts.jsonl"
    results.write_text(json.dumps(row) + "\n", encoding="utf-8")
    part = starts["write_part"](results, shutil.copy(PAGE, tmp_path / "page.md"))
    assert part.count(f"in the mean of 1, {said} 0.01 below it") == 4
    assert "| tcga-blca | 9 | harrell_c | 0.600 |" in part


def test_a_line_of_images_gets_the_differences_from_ways_run_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, results = made("images", monkeypatch), tmp_path / "images.jsonl"
    earlier = {"cohort": "chest-xray/raw", "differences": {"vgg16": {"10": {"mean": 9.0}}}}
    rows = [earlier, {"cohort": "chest-xray/mae", "differences": {}}]
    results.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for way, area in (("raw", 0.6), ("mae", 0.75), ("swav", 0.5)):  # of swav there is no line
        np.savez(tmp_path / f"chest-xray-{way}.npz", **{"10": np.array([area, area - 0.1, area + 0.1])})
    images["complete"](results, tmp_path)
    first, other = (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines())
    value = {"mean": -0.15, "low": -0.15, "high": -0.15}
    assert first["differences"] == {"vgg16": {"10": {"mean": 9.0}}, "mae": {"10": value}}
    assert other["differences"]["raw"]["10"]["mean"] == 0.15 and set(other["differences"]) == {"raw"}


def test_the_recipe_that_inner_folds_like_best_is_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    picked = made("lines", monkeypatch)["picked"]
    rows = {
        name: {"folds": [{"repeat": 0, "fold": str(fold), "inner": score} for fold, score in enumerate(scores)]}
        for name, scores in (("a", [0.6, 0.7]), ("b", [0.65, None]), ("c", [0.5, 0.9]))
    }
    assert picked(rows, ["a", "b"], [(0, "0"), (0, "1")]) == ["b", "a"]
    assert picked(rows, ["a", "b", "c"], [(0, "0"), (0, "1")]) == ["b", "c"]


def test_the_page_of_embeddings_is_what_its_results_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ROOT / "docs" / "embeddings.md"
    copy = Path(shutil.copy(page, tmp_path / "page.md"))
    made("embeddings", monkeypatch)["write_part"](ROOT / "benchmarks" / "results" / "embeddings.txt", copy)
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_every_line_of_the_memory_of_sequences_is_read_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    file = ROOT / "benchmarks" / "results" / "sequence_memory.txt"
    found = made("sequence_memory", monkeypatch)["rows"](file)
    assert len(found) == len(file.read_text(encoding="utf-8").splitlines()) - 1
