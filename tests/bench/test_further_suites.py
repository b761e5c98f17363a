"""Each further suite reads files of its schema, counts what cannot be asked, and scores right answers as 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from released_files import MADE
from suites_page import PAGE, page, table

from chiasm.bench.item import Items
from chiasm.bench.marks import Marks, chosen
from chiasm.bench.scoring import one
from chiasm.bench.suite import Suite
from chiasm.bench.suites import PLACES, suite_named
from chiasm.bench.suites.hemm import AXES, tags_of

READ = {  # how many items the made files have, and how many rows are left out
    "pathmmu": (5, 1),
    "pathmmu-tiny": (1, 0),
    "micro-bench": (3, 1),
    "hemm": (4, 2),
    "multimed": (2, 1),
    "multimedbench": (8, 1),
    "medmax": (3, 2),
    "med-mat": (4, 0),
    "olives": (5, 1),
    "biotalk": (3, 1),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Suite, Items]]:
    """Each suite with the items of its made files."""
    read = {}
    for name, write in MADE.items():
        folder = tmp_path_factory.mktemp(name)
        write(folder)
        suite = suite_named(name)
        read[name] = suite, suite.read(folder)
    return read


def answered(items: Items, *, right: bool = True) -> Marks:
    """Marks of a candidate that is always right, or never."""
    places = []
    for item in items.items:
        wrong = next((k for k in range(len(item.options)) if k not in item.positions), -1)
        places.append(-1 if not item.options else item.positions[0] if right else wrong)
    texts = tuple("" if item.options else item.accepted[0] if right else "none of it" for item in items.items)
    return replace(chosen(items.items, places), texts=texts, ways=("answered",) * len(items))


def test_every_suite_of_these_is_in_the_catalogue() -> None:
    assert set(READ) == set(MADE) <= set(PLACES)
    for name in MADE:
        suite = suite_named(name)
        assert suite.name == name and isinstance(suite, Suite)
        assert suite.paper.link and suite.source and suite.licence and suite.setting and suite.files


@pytest.mark.parametrize("name", MADE)
def test_items_are_read_and_what_cannot_be_asked_is_counted(
    name: str, found: Mapping[str, tuple[Suite, Items]], tmp_path: Path
) -> None:
    suite, items = found[name]
    assert (len(items), sum(items.left_out.values())) == READ[name]
    assert all(len(digest) == 64 for digest in items.files.values()) and items.files
    said = " ".join(map(str, items.problems))
    assert not any(text in said for item in items.items for text in item.accepted if len(text) > 3)
    with pytest.raises(ValueError, match="lacks"):
        suite.read(tmp_path)
    for attachment in (own for item in items.items for own in item.attachments):
        assert ".." not in str(attachment.path)


@pytest.mark.parametrize("name", MADE)
def test_right_answers_score_one_and_wrong_ones_zero(name: str, found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found[name]
    figures = {figure.id: figure for figure in suite.figures(items.items)}
    primary = figures[suite.primary]
    assert one(primary, answered(items)) == 1 and one(primary, answered(items, right=False)) == 0
    drawn = primary.draws(answered(items), np.ones((3, len(items))))
    assert drawn.tolist() == [1, 1, 1]


def test_pathmmu_weighs_its_sources_alike_and_draws_an_image_as_one(found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found["pathmmu"]
    by_source = next(own for own in suite.figures(items.items) if own.id == "source_mean")
    right = [item.tags["source"] == "Atlas" for item in items.items]
    marks = chosen(items.items, [own.positions[0] if yes else -1 for own, yes in zip(items.items, right, strict=True)])
    assert one(by_source, marks) == 0.5 and np.mean(marks.right) == 2 / 5
    assert [item.unit for item in items.items][:2] == ["a.png", "a.png"]
    assert by_source.chance(items.items) == pytest.approx((1 / 3 + (1 / 3 + 1 / 2) / 2) / 2)


def test_micro_bench_scores_coarse_and_fine_apart(found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found["micro-bench"]
    figures = {figure.id: figure for figure in suite.figures(items.items)}
    marks = chosen(items.items, [own.positions[0] if own.tags["grain"] == "fine" else 2 for own in items.items])
    assert (one(figures["fine"], marks), one(figures["coarse"], marks)) == (1, 0)
    assert items.left_out == {"the answer is the text of no option": 1}


def test_hemm_has_tagged_thirty_data_sets_or_nearly(found: Mapping[str, tuple[Suite, Items]]) -> None:
    _, items = found["hemm"]
    own = {item.tags["dataset"]: item.tags for item in items.items}
    assert own["hatefulmemes"]["interaction"] == "synergy" and own["slake"]["use"] == "health"
    assert set(own["vqa"]) == {"dataset", *AXES}
    assert "knowledge" not in tags_of("vcr")  # not told in the release
    with pytest.raises(ValueError, match="none of those"):
        tags_of("mnist")


def test_multimedbench_scores_each_task_by_its_own_metric(found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found["multimedbench"]
    mean = next(own for own in suite.figures(items.items) if own.id == "task_mean")
    first = chosen(items.items, [0 if item.options else -1 for item in items.items])
    marks = replace(first, texts=("",) * 7 + ("the left lobe",), ways=("answered",) * 8)
    # MedQA: the first option is right nowhere. Lesions: 3 of 4 right, F1 of 6/7 and 0. VQA-RAD: 2 words of 2 and 3.
    assert one(mean, marks) == pytest.approx((0 + (6 / 7 + 0) / 2 + 2 * 2 / (2 + 3)) / 3)


def test_olives_tells_the_trials_and_weighs_yes_and_no_alike(found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found["olives"]
    trials = [item.tags["trial"] for item in items.items]
    assert trials == ["PRIME (diabetic retinopathy)"] * 4 + ["TREX-DME (macular oedema)"]
    assert items.items[-1].tags["BCVA"] == "under 70 letters" and "CST" not in items.items[-1].tags
    assert items.items[0].group == items.items[2].group != items.items[-1].group
    balanced = next(own for own in suite.figures(items.items) if own.id == suite.primary)
    never = chosen(items.items, [1] * len(items))
    assert one(balanced, never) == 0.5  # of the biomarker that has both; the other is there in all of its scans
    assert balanced.chance(items.items) == 0.5


def test_biotalk_reads_numbers_in_sentences_and_tells_new_families(found: Mapping[str, tuple[Suite, Items]]) -> None:
    suite, items = found["biotalk"]
    assert [item.tags["family in training"] for item in items.items] == ["yes", "yes", "no"]
    assert set(items.files) == {"test1.csv", "Train.parquet"}
    assert not any(problem.finding == "twice" for problem in items.problems)  # one question, another gene each
    assert [item.unit for item in items.items] == ["UniRef50_A", "UniRef50_A", "UniRef50_B"]
    said = ("It is EC 1.3.1.9, an oxidoreductase.", "probably 1.3.-.- or so", "no idea, 42 maybe")
    marks = replace(answered(items), texts=said)
    figures = {figure.id: figure for figure in suite.figures(items.items)}
    assert [one(figures[f"ec_level_{k}"], marks) for k in (1, 2, 3, 4)] == [2 / 3, 2 / 3, 1 / 2, 1 / 2]
    assert one(figures["ec_recall"], marks) == (4 + 2 + 0) / (4 + 4 + 2)
    terms = figures["ec_level_4"].terms(marks)
    assert terms is not None and terms.tolist()[:2] == [1, 0] and np.isnan(terms[2])


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("pathmmu", "data.json", "[]"),
        ("pathmmu", "data.json", '{"PubMed": {"test": []}}'),
        ("hemm", "hemm.jsonl", '{"id": 1}'),
        ("hemm", "hemm.jsonl", ""),
        ("medmax", "medmax_eval_data.jsonl", "not json"),
        ("biotalk", "test1.csv", "AC,EC\nP1,1.1.1.1\n"),
        ("olives", "biomarker_attributes_patient_added.csv", "Path,Scan\n"),
        ("micro-bench", "ubench-test-0.arrow", "no arrow"),
    ],
)
def test_a_file_that_is_not_of_the_release_is_refused_in_a_sentence(
    name: str, file: str, content: str, tmp_path: Path
) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"'[^']+' .+"):
        suite_named(name).read(tmp_path)


def test_the_page_has_every_suite_of_the_catalogue() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run PYTHONPATH=src python tests/bench/suites_page.py"
    listed = table()
    assert all(f"`{name}`" in listed for name in PLACES)
