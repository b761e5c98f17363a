"""`chiasm embed`: what the screen says of embeddings, and of what is no embedding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_line import Run

MANIFEST = """\
name = "cases"
[patients]
table = "patients.csv"
id = "case"
[target]
kind = "classification"
column = "sick"
[modalities.clinical]
kind = "table"
columns = ["age", "crp"]
"""
QUICK = ["--shares", "10,100", "--draws", "2", "--folds", "2", "--repeats", "1", "--jobs", "1", "--methods", "probe"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("cases")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 4))
    table = pd.DataFrame({"case": [f"Fälle {k:02d}" for k in range(60)], "sick": (vectors[:, 0] > 0).astype(int)})
    table[["age", "crp"]] = rng.normal(size=(60, 2))
    table.to_csv(place / "patients.csv", index=False)
    (place / "cohort.toml").write_text(MANIFEST, encoding="utf-8")
    named = pd.DataFrame(vectors, columns=list("abcd"), index=pd.Index(table["case"], name="case"))
    named.iloc[:-1].to_parquet(place / "vectors.parquet")
    np.save(place / "noise.npy", rng.normal(size=(60, 3)))
    return place


def test_the_screen_and_the_page_say_what_pays(folder: Path, run: Run) -> None:
    files = ["--file", f"good={folder / 'vectors.parquet'}", "--file", str(folder / "noise.npy")]
    page, out = folder / "embed.html", folder / "figures.csv"
    said = run("embed", str(folder), *files, *QUICK, "--contrast", "good:noise", "--page", str(page), "--out", str(out))
    assert said.code == 0, said.err
    assert "By probe, learned from all training patients (30): 'good' against 'noise': " in said.out
    assert "At 10 % of the training patients there are too few to say" in said.out
    assert "note: 'good' has no vector of 1 patient of known outcome" in said.err.replace("\n", " ")
    assert "Written:" in said.out and "Fälle" not in said.out + said.err + page.read_text(encoding="utf-8")
    assert len(pd.read_csv(out)) == 8  # two files, the raw input and random features, at two shares
    told = json.loads(run("embed", str(folder), *files[:2], *QUICK, "--json", "--no-baselines").out)
    assert told["rows"][0]["metric"] is None and told["rows"][1]["metric"] > 0.9 and told["likeness"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which no frozen encoder reads: give a file of embeddings (--file)"),
        (["--file", "gone.npz"], "gone.npz: there is no such file"),
        (["--file", "NOISE", "--shares", "a"], "are no percentages"),
        (["--file", "NOISE", "--contrast", "noise"], "names no two embeddings"),
        (["--file", "NOISE", "--contrast", "noise:other"], "no embedding here: there are noise, raw, random"),
        (["--file", "NOISE", "--layers"], "of one encoder: name one (--encoder)"),
        (["--file", "NOISE", "--page", "x.txt"], "must end in .html"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(folder: Path, run: Run, words: list[str], said: str) -> None:
    told = run("embed", str(folder), *(str(folder / "noise.npy") if word == "NOISE" else word for word in words))
    assert told.code == 2 and said in told.err.replace("\n", " "), told.err
    assert "Traceback" not in told.err


def test_pairs_that_confuse_are_written_and_the_screen_names_nobody(folder: Path, run: Run) -> None:
    files = ["--file", f"good={folder / 'vectors.parquet'}", "--file", str(folder / "noise.npy")]
    out = folder / "pairs.csv"
    words = ["bench", "pairs", str(folder), *files, "--out", str(out)]
    said = run(*words, "--by-share", "--alike", "0.9", "--both-ways", "--apart", "--most", "20")
    assert said.code == 0, said.err
    pairs = pd.read_csv(out)
    assert set(pairs["confused_by"]) == {"good", "noise"} and (pairs["first_class"] != pairs["second_class"]).all()
    assert "of 59 patients: 'good' has a cosine of" in said.out and "Fälle" not in said.out + said.err
    told = json.loads(run(*words, "--alike", "1", "--unlike", "-1", "--json", "--force").out)
    assert told["ways"] == [{"confused_by": "good", "alike": 1.0, "unlike": -1.0, "pairs": 0}]
    assert told["notes"] == ["59 of 60 patients have both vectors"] and len(pd.read_csv(out)) == 0
    for wrong, why in (
        (["--alike", "2"], "cosines lie between -1 and 1"),
        (["--by-share", "--alike", "99"], "write 0.999 for the most alike thousandth"),
        (["--pool", "sum"], "tokens are pooled by mean, max, attention, flat"),
    ):
        refused = run(*words, "--force", *wrong)
        assert refused.code == 2 and why in refused.err.replace("\n", " "), refused.err
