"""`collect` on the command line: the table, the files it writes, JSON, and what is refused before any work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from command_line import Run


def written(folder: Path, cost: str = "cost = 40.5\n") -> Path:
    rng, n = np.random.default_rng(1), 240
    a, b = rng.normal(size=n), rng.normal(size=n)
    ids = [f"p{k}" for k in range(n)]
    pd.DataFrame({"id": ids, "y": a + b + 0.5 * rng.normal(size=n), "a": a}).to_csv(
        folder / "patients.csv", index=False
    )
    pd.DataFrame({"id": ids, "b": b}).iloc[:200].to_csv(folder / "mri.csv", index=False)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["a"]\n'
        f'[modalities.mri]\nkind = "table"\ntable = "mri.csv"\n{cost}'
    )
    return manifest


def test_the_table_the_files_and_json_say_the_same(run: Run, tmp_path: Path) -> None:
    manifest = written(tmp_path)
    asked = ("collect", manifest, "--worth", "10000", "--repeats", "1", "--jobs", "1")
    said = run(*asked, "--out", tmp_path / "advice.csv", "--plot", tmp_path / "gain.png")
    assert said.code == 0
    (line,) = [line.rstrip() for line in said.out.splitlines() if line.startswith("clinical ")]
    assert line.split()[:3] == ["clinical", "mri", "40"] and line.endswith("collect")
    assert "no price" in said.out and "as if who lacks it were like who has it" in said.out
    assert (tmp_path / "gain.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(run(*asked, "--json").out)
    rows = {(row["have"], row["add"]): row for row in document["questions"]}
    assert rows["clinical", "mri"]["cost"] == 40.5 and rows["mri", "clinical"]["cost"] is None
    stored = pd.read_csv(tmp_path / "advice.csv", keep_default_na=False).set_index(["have", "add"])
    assert np.isclose(float(stored.loc[("clinical", "mri"), "gain"]), rows["clinical", "mri"]["gain"], rtol=1e-12)


def test_what_is_asked_wrongly_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    manifest = written(tmp_path)
    for words in (("--worth", "0"), ("--plot", tmp_path / "gain.jpg"), ("--out", tmp_path / "advice.txt")):
        said = run("collect", manifest, *words)
        assert said.code == 2 and said.err.count("\n") == 1 and said.out == ""
    for words, what in (
        (("--cost", "mri"), "is no price"),
        (("--cost", "mri=5", "--cost", "mri=6"), "names 'mri' twice"),
        (("--cost", "mr=5"), "no such modality"),
        (("--plot", tmp_path / "gain.png"), "no modality has one"),
    ):
        said = run("collect", written(tmp_path, ""), *words)
        assert said.code == 2 and what in said.err
    said = run("collect", written(tmp_path, "cost = -1\n"))
    assert said.code == 2 and "'cost' is below zero" in said.err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cohort.toml", "mri.csv", "patients.csv"]
