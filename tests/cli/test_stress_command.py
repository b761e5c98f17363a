"""`stress` on the command line: the table, the files it writes, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from chiasm.cli.stressing import _show_attacks
from chiasm.evaluation.stress.attacks import attack_table
from command_line import Run


def test_the_screen_the_files_and_json_say_the_same(run: Run, tmp_path: Path) -> None:
    rng, n = np.random.default_rng(1), 90
    a, b = rng.normal(size=(2, n))
    frame = pd.DataFrame({"id": [f"p{k}" for k in range(n)], "y": a + b + rng.normal(size=n), "a": a, "b": b})
    frame["ward"] = ["north", "south", "south"] * (n // 3)
    frame.to_csv(tmp_path / "patients.csv", index=False)
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\nsite = "ward"\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.m1]\nkind = "table"\ncolumns = ["a"]\n[modalities.m2]\nkind = "table"\ncolumns = ["b"]\n'
    )
    asked = (
        "stress",
        manifest,
        "--recipes",
        "late-fusion",
        "--faults",
        "lost, mixed, sites",
        "--folds",
        "2",
        "--jobs",
        "1",
    )
    files = ("--out", tmp_path / "stress.csv", "--plot", tmp_path / "stress.png", "--page", tmp_path / "stress.html")
    said = run(*asked, "--repeats", "1", *files)
    assert said.code == 0 and "highest level of each fault" in said.out
    assert (tmp_path / "stress.png").read_bytes().startswith(b"\x89PNG")
    stored = pd.read_csv(tmp_path / "stress.csv", keep_default_na=False)
    assert list(stored["fault"].unique()) == ["none", "lost", "mixed", "sites"]
    assert len(stored) == 1 + 2 * 2 * 3 + 1 and "where it was left out, in 2 parts" in said.out
    page = (tmp_path / "stress.html").read_text(encoding="utf-8")
    assert all(f'id="{name}-table"' in page for name in ("plain", "fault", "site"))
    document = json.loads(run(*asked, "--repeats", "1", "--json").out)
    assert np.allclose([row["change"] for row in document["rows"]], stored["change"].astype(float), rtol=1e-12)
    again = run(*asked, *files)
    assert again.code == 2 and "exists already" in again.err
    for words in (
        ("--faults", "fire"),
        ("--page", tmp_path / "stress.txt"),
        ("--plot", tmp_path / "stress.jpg"),
        ("--out", tmp_path / "stress.txt"),
    ):
        refused = run("stress", manifest, *words)
        assert refused.code == 2 and refused.err.count("\n") == 1 and refused.out == ""


@pytest.mark.parametrize("low", [0.4, 0.6])
def test_that_nothing_can_be_lost_is_said(low: float, capsys: pytest.CaptureFixture[str]) -> None:
    columns = ["recipe", "fault", "modality", "level", "metric", "low", "high", "change", "change_low", "change_high"]
    rows = [
        ["net", "none", "", 0.0, 0.7, low, 0.8, 0.0, 0.0, 0.0],
        ["net", "fgsm", "m1", 0.1, 0.6, 0.5, 0.7, -0.1, -0.2, 0.0],
    ]
    attacks = attack_table(pd.DataFrame(rows, columns=columns), 0.5)
    _show_attacks(SimpleNamespace(attacks=attacks, metric="auroc", not_attacked={}))
    assert ("not above chance, so there is nothing to lose" in capsys.readouterr().out) == (low < 0.5)
