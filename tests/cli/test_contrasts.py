"""`--contrast B:A`: recipes whose names hold colons, and findings on the screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chiasm import screen
from chiasm.cli.contrasts import contrast_pairs
from cohort_folder import CohortFolder
from command_line import Run

NAMES = ("late-fusion", "lego-fuse:mode=weave", "single:rna", "single:clinical", "a", "a:b", "b:a")
QUICK = ["--ignore-folds", "--folds", "2", "--repeats", "1", "--jobs", "1"]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("lego-fuse:mode=weave:late-fusion", ("lego-fuse:mode=weave", "late-fusion")),
        ("late-fusion:lego-fuse:mode=weave", ("late-fusion", "lego-fuse:mode=weave")),
        ("single:rna:single:clinical", ("single:rna", "single:clinical")),
    ],
)
def test_a_contrast_is_split_where_both_are_recipes(text: str, pair: tuple[str, str]) -> None:
    assert contrast_pairs([text], NAMES) == [pair]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("late-fusion", "names one recipe"),
        ("late-fusion:single:dna", "names 'single:dna', no recipe of this trial, did you mean 'single:rna'?"),
        ("late-fusoin:single:rna", "did you mean 'late-fusion'?"),
        ("a:b:a", "can be read as 'a' against 'b:a' or 'a:b' against 'a'"),
    ],
)
def test_what_is_no_contrast_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ValueError, match="--contrast") as refused:
        contrast_pairs([text], NAMES)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_named_contrast_reaches_the_document_and_the_screen(
    run: Run, two_tables: CohortFolder, tmp_path: Path
) -> None:
    words = ["evaluate", two_tables.manifest, "--recipes", "late-fusion", *QUICK, "--out", tmp_path / "run"]
    refused = run(*words, "--contrast", "late-fusion:single:dna")
    assert refused.code == 2 and "no recipe of this trial" in refused.err and not (tmp_path / "run").exists()
    said = run(*words, "--contrast", "late-fusion:single:rna")
    assert said.code == 0, said.err
    (row,) = json.loads((tmp_path / "run" / "trial.json").read_text())["contrasts"]
    assert (row["recipe"], row["against"]) == ("late-fusion", "single:rna") and row["sentence"] in said.out


def test_findings_on_the_screen_are_counted_and_leaks_said_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    plain = {"modality": None, "what": "nobody is old", "fix": "look", "leak": False, "accepted": None}
    leak = {"modality": "rna", "what": "a column is the outcome", "fix": "drop it", "leak": True, "accepted": None}
    screen.show_findings([plain, leak, {**leak, "modality": "dna", "accepted": "known before"}])
    said = capsys.readouterr().out
    assert "3 findings, 2 of which may give the outcome away" in said
    assert "leak: modality 'rna': a column is the outcome; drop it" in said
    assert "accepted: modality 'dna': a column is the outcome; accepted, because: known before" in said
    assert "nobody is old" not in said
    screen.show_findings([])
    assert capsys.readouterr().out == ""
