"""`interaction` on the command line: the table, the files it writes, JSON, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cli import interacting
from command_line import Run


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interacting, "DRAWS", 100)


def written(folder: Path, n: int = 130) -> Path:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, n))
    ids = [f"p{k}" for k in range(n)]
    ill = a + b + 0.5 * rng.normal(size=n) > 0
    table = pd.DataFrame({"id": ids, "ill": np.where(ill, "yes", "no"), "größe": a})
    table.to_csv(folder / "patients.csv", index=False)
    pd.DataFrame({"id": ids, "b": b}).to_csv(folder / "scan.csv", index=False)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "ill"\n'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["größe"]\n[modalities.scan]\nkind = "table"\n'
        'table = "scan.csv"\n',
        encoding="utf-8",
    )
    return manifest


def test_the_table_the_files_and_json_say_the_same(run: Run, tmp_path: Path) -> None:
    manifest, out, plot = written(tmp_path), tmp_path / "parts.csv", tmp_path / "parts.svg"
    asked = ("interaction", manifest, "--states", "predictions", "--folds", "2", "--repeats", "1", "--jobs", "1")
    said = run(*asked, "--out", out, "--plot", plot)
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if line.startswith("clinical, scan   ")]
    document = json.loads(run(*asked, "--json").out)
    (row,) = document["rows"]
    assert f"{row['together']:.3f} ({row['together_low']:.3f} to {row['together_high']:.3f})" in line
    assert row["told"] and row["says"] in said.out and document["leaks"] == []
    stored = pd.read_csv(out).iloc[0]
    assert np.isclose(stored["synergy"], row["synergy"], rtol=1e-12) and stored["second"] == "scan"
    drawn = plot.read_text()
    assert all(words in drawn for words in ("either tells", "only both", "bits of the outcome"))


def test_what_is_asked_wrongly_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    manifest = written(tmp_path, 60)
    before = sorted(tmp_path.iterdir())
    for words, what in (
        (("--states", "quantiles"), "not of 'quantiles'"),
        (("--plot", tmp_path / "parts.jpg"), "must end in one of"),
        (("--out", tmp_path / "parts.txt"), "must end in .parquet or .csv"),
        (("--modalities", "clinical,mri"), "mri"),
        (("--horizon", "2"), "no times"),
        (("--trial", tmp_path), "trial"),
        (("--keep",), "name its run folder by --trial"),
    ):
        said = run("interaction", manifest, *words)
        assert said.code == 2 and what in said.err and said.out == ""
    said = run("interaction", manifest, "--plot", tmp_path / "parts.svg")
    assert said.code == 0 and "too few to say: 60 tested patients" in said.out and "no picture" in said.err
    assert sorted(tmp_path.iterdir()) == before
