"""A trial on texts: two modalities that say a text together pay, and no text is on the page or in the document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.cohort import synthetic_cohort
from chiasm.evaluation import Trial
from chiasm.targets.free_text import WORDS
from lighter_trials import only_ridges


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Trial, Path]]:
    folder = tmp_path_factory.mktemp("trial") / "run"
    cohort = synthetic_cohort("complementary", 150, target="text", seed=1, missing=0.1)
    with only_ridges():
        protocol = chiasm.Protocol(folds=3, repeats=1, draws=100)
        yield chiasm.evaluate(cohort, ["late-fusion"], protocol, out=folder, jobs=1), folder


def test_both_modalities_say_more_than_one_and_each_more_than_the_typical_text(run: tuple[Trial, Path]) -> None:
    mean = run[0].table().set_index("recipe")["mean"]
    assert mean["late-fusion"] > max(mean["single:m1"], mean["single:m2"]) + 0.02
    assert min(mean["single:m1"], mean["single:m2"]) > mean["null"] + 0.05
    row = next(own for own in run[0].document["recipes"] if own["name"] == "null")
    assert row["metrics"]["beyond_typical"]["mean"] == pytest.approx(0, abs=1e-12)
    assert row["metrics"]["entity_f1"]["mean"] is None  # no entity is named


def test_the_folder_opens_with_the_same_scores(run: tuple[Trial, Path]) -> None:
    trial, folder = run
    again = chiasm.load_trial(folder)
    assert again.table()["mean"].tolist() == pytest.approx(trial.table()["mean"].tolist())
    assert again.all_outcomes.texts is not None and trial.all_outcomes.texts is not None
    assert again.all_outcomes.texts.references.tolist() == trial.all_outcomes.texts.references.tolist()


def test_the_card_of_a_model_takes_the_trial_of_its_cohort(run: tuple[Trial, Path], tmp_path: Path) -> None:
    cohort = synthetic_cohort("complementary", 150, target="text", seed=1, missing=0.1)
    with only_ridges():
        model = chiasm.fit(cohort, "late-fusion", seed=0)
    card = chiasm.write_card(model, tmp_path / "card.md", trial=run[0]).read_text(encoding="utf-8")
    assert "text score" in card and "nodule" not in card


def test_no_text_stands_on_the_page_or_in_the_document(run: tuple[Trial, Path]) -> None:
    folder = run[1]
    for name in ("report.html", "trial.json", "reporting.md"):
        said = (folder / name).read_text(encoding="utf-8")
        assert not [text for text in (*WORDS, "nodule") if text in said], name
    page = (folder / "report.html").read_text(encoding="utf-8")
    for told in ("What is said", "scored by token F1", "4 different ones among", "word for word"):
        assert told in page


def test_the_document_counts_what_is_said(run: tuple[Trial, Path]) -> None:
    said = run[0].document["said"]
    assert said["ceiling"] == pytest.approx(1) == said["word_for_word"] and said["tested"] == 150
    null = next(own for own in said["recipes"] if own["recipe"] == "null")
    assert null["different"] <= 3 and max(own["different"] for own in said["recipes"]) == 4
    assert np.all(np.diff(said["expected"]) >= 0)
