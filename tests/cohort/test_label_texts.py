"""What is written of labels: read from a manifest and beside frames, and what is wrong with it is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, CohortError, cohort_from_frames
from chiasm.cohort import label_texts as of_labels
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.taxonomy import Lineage, answers_by_rank, captions_of, contradictions, lineage_of, taxonomy_caption

PROMPTS = "label,sentence\nsick,it is pale\nsick,it is pale\nsick,its edge is blurred\nwell,it is clear\n"
LINEAGES = "label,family,genus,species,common\nsick,Paridae,Parus,major,great tit\nwell,Paridae,Parus,minor,\n"
BLUE_TIT = Lineage(
    ("Animalia", "Chordata", "Aves", "Passeriformes", "Paridae", "Cyanistes", "caeruleus"), "Eurasian blue tit"
)


def write(folder: Path, section: str = 'prompts = "p.csv"', prompts: str = PROMPTS, lineages: str = LINEAGES) -> Path:
    (folder / "p.csv").write_text(prompts)
    (folder / "l.csv").write_text(lineages)
    patients = pd.DataFrame({"id": [f"p{k:02d}" for k in range(12)], "age": range(12), "y": ["sick", "well"] * 6})
    patients.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "k"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        f'[modalities.age]\nkind = "table"\ncolumns = ["age"]\n[knowledge]\n{section}\n'
    )
    return folder / "cohort.toml"


def findings(manifest: Path) -> dict[str, str]:
    cohort, problems = read_manifest(manifest)
    return {own.finding: own.severity for own in (*problems, *(() if cohort is None else cohort.findings))}


def framed(target: Any = None, **given: Any) -> Cohort:
    ids = [f"p{k:02d}" for k in range(12)]
    patients = pd.DataFrame({"y": ["sick", "well"] * 6, "x": np.arange(12.0)}, index=ids)
    age = patients[["x"]].rename(columns={"x": "age"}) ** 2 % 7
    return cohort_from_frames(patients, {"age": age}, target or chiasm.Classification("y"), **given)


def test_sentences_and_lineages_are_read_once_each_and_are_part_of_the_content(tmp_path: Path) -> None:
    both = 'prompts = "p.csv"\nlineages = "l.csv"'
    cohort = chiasm.open_cohort(write(tmp_path, both))
    known = cohort.label_texts
    assert known is not None and known.sentences == {
        "sick": ("it is pale", "its edge is blurred"), "well": ("it is clear",),
    }  # fmt: skip
    assert known.lineages["sick"] == Lineage(("",) * 4 + ("Paridae", "Parus", "major"), "great tit")
    assert known.counts == {"labels": 2, "sentences": 3, "lineages": 2} and cohort.subset([0]).label_texts is known
    assert cohort.fingerprint != replace(cohort, label_texts=None).fingerprint
    given = {"sick": ["it is pale", "its edge is blurred"], "well": "it is clear"}
    lineages = {label: {"family": "Paridae", "genus": "Parus", "species": own, "common": common}
                for label, own, common in (("sick", "major", "great tit"), ("well", "minor", ""))}  # fmt: skip
    made = framed(prompts=given, lineages=lineages).label_texts
    assert made is not None and made.digest == known.digest and made == known
    assert framed(prompts=given).label_texts.digest != known.digest  # type: ignore[union-attr]


def test_one_table_holds_sentences_and_lineages_and_may_be_a_sheet_of_the_patients_workbook(tmp_path: Path) -> None:
    manifest = write(tmp_path)
    both = pd.DataFrame({"label": ["sick", "well"], "sentence": ["it is pale", "it is clear"], "genus": "Parus",
                         "species": ["major", "minor"]})  # fmt: skip
    with pd.ExcelWriter(tmp_path / "book.xlsx") as book:
        pd.read_csv(tmp_path / "patients.csv").to_excel(book, sheet_name="people", index=False)
        both.to_excel(book, sheet_name="labels", index=False)
    known = '[patients]\ntable = "book.xlsx"\nsheet = "people"'
    text = manifest.read_text().replace('[patients]\ntable = "patients.csv"', known)
    for sheet, wanted in (("people", {"patients-as-prompts": "error"}), ("labels", {})):
        named = f'prompts = "book.xlsx"\nlineages = "book.xlsx"\nsheet = "{sheet}"'
        manifest.write_text(text.replace('prompts = "p.csv"', named))
        assert findings(manifest) == wanted
    found = chiasm.open_cohort(manifest).label_texts
    assert found is not None and found.counts == {"labels": 2, "sentences": 2, "lineages": 2}


@pytest.mark.parametrize(
    ("section", "prompts", "wanted"),
    [
        ("", PROMPTS, {"missing-key": "error"}),
        ('triples = "p.csv"', PROMPTS, {"missing-key": "error"}),
        ('prompts = "p.csv"\ncolumn = "age"', PROMPTS, {"missing-key": "error"}),
        ('prompts = "patients.csv"', PROMPTS, {"patients-as-prompts": "error"}),
        ('prompts = "p.csv"\nsentence = "words"', PROMPTS, {"missing-column": "error"}),
        ('prompts = "p.csv"', "label,sentence\n,x\n", {"no-prompts": "error"}),
        ('prompts = "p.csv"', "label,sentence\nSick,x\n", {"prompts-of-nobody": "error"}),
        ('prompts = "p.csv"', PROMPTS + "old,\n", {"partial-prompts": "warning"}),
        ('prompts = "p.csv"', PROMPTS + "old,grey hair\n", {"prompts-for-nobody": "warning"}),
        ('prompts = "p.csv"', "label,sentence\nsick,x\n", {"labels-without-prompt": "warning"}),
    ],
)
def test_what_is_wrong_with_prompts_is_said(tmp_path: Path, section: str, prompts: str, wanted: dict[str, str]) -> None:
    assert findings(write(tmp_path, section, prompts)) == wanted


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ("sick,Paridae,Parus,major,\nsick,Paridae,Parus,minor,\n", {"repeated-lineage": "error"}),
        ("sick,Paridae,,major,\nwell,Paridae,Parus,minor,\n", {"missing-rank": "error"}),
        ("sick,Paridae,Parus,major,\nwell,Sittidae,Parus,minor,\n", {"contradicting-ranks": "error"}),
        ("sick,Paridae,Parus,Parus major,\nwell,Paridae,Sitta,Parus major,\n", {"contradicting-ranks": "error"}),
        ("sick,Paridae,Parus,alba,\nwell,Sittidae,Sitta,alba,\n", {}),  # an epithet is of its genus
    ],
)
def test_ranks_that_are_missing_or_contradict_are_refused(tmp_path: Path, rows: str, wanted: dict[str, str]) -> None:
    lineages = "label,family,genus,species,common\n" + rows
    assert findings(write(tmp_path, 'lineages = "l.csv"', lineages=lineages)) == wanted


def test_a_contradiction_is_found_behind_a_row_that_lacks_the_rank_between() -> None:
    known = {"order": "Passeriformes", "genus": "Parus"}
    made = [lineage_of({**known, "species": name, "family": family})
            for name, family in (("ater", ""), ("major", "Paridae"), ("minor", "Sittidae"))]  # fmt: skip
    found = contradictions(["a", "b", "c"], made, [2, 3, 4], None)
    assert [(own.row, own.what) for own in found] == [(4, "one genus lies in two of rank family")]
    made = [
        lineage_of({**known, "species": "ater"}),
        replace(made[1], ranks=("", "", "", "Apodes", *made[1].ranks[4:])),
    ]
    assert [own.row for own in contradictions(["a", "b"], made, [2, 3], None)] == [3]


def test_a_target_without_labels_has_nothing_that_could_be_described(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CohortError, match="has no labels that a prompt could describe"):
        framed(chiasm.Regression("x"), prompts={"sick": "pale"})
    monkeypatch.setattr(of_labels, "LABEL_TEXTS", 1)
    with pytest.raises(CohortError, match="over the limit of 1"):
        framed(prompts={"sick": "pale", "well": "clear"})
    with pytest.raises(ValueError, match="'tribe' is no rank"):
        framed(lineages={"sick": {"tribe": "x"}})


def test_captions_are_those_of_the_paper_in_each_mode() -> None:
    whole = "a photo of Animalia Chordata Aves Passeriformes Paridae Cyanistes caeruleus"
    named = " with common name Eurasian blue tit."
    assert [taxonomy_caption(BLUE_TIT, mode) for mode in ("common", "scientific", "taxonomic")] == [
        "a photo of Eurasian blue tit.", "a photo of Cyanistes caeruleus.", whole + ".",
    ]  # fmt: skip
    assert captions_of(BLUE_TIT, "drawn")[3:] == ("a photo of Cyanistes caeruleus" + named, whole + named)
    partly = {"genus": "Parus", "species": "Parus major"}  # ranks and a common name are not known
    assert captions_of(lineage_of(partly), "drawn") == ("a photo of Parus major.",)
    for wrong in ("latin", "drawn"):
        with pytest.raises(ValueError, match="is not known: choose one of common"):
            taxonomy_caption(BLUE_TIT, wrong)
    with pytest.raises(ValueError, match="nothing is known of the species"):
        taxonomy_caption(Lineage(("",) * 7), "common")
    with pytest.raises(ValueError, match="a lineage has 7 ranks"):
        Lineage(("Aves",))


def test_an_answer_at_each_rank_is_what_most_of_the_probability_lies_in() -> None:
    lineages = {
        "a": Lineage(("Animalia", "", "Aves", "", "Paridae", "Parus", "major")),
        "b": Lineage(("Animalia", "", "Aves", "", "Paridae", "Parus", "minor")),
        "c": Lineage(("Animalia", "", "Aves", "", "Sittidae", "Sitta", "europaea"), "nuthatch"),
    }
    told = pd.DataFrame({"pattern": ["x", "x"], "p_a": [0.3, 0.1], "p_b": [0.25, 0.2], "p_c": [0.45, 0.7]}, ["1", "0"])
    found = answers_by_rank(told, lineages)
    assert list(found.index) == ["1", "0"] and list(found["kingdom"]) == ["Animalia"] * 2
    assert list(found["genus"]) == ["Parus", "Sitta"] and found["species"].iloc[0] == "Sitta europaea"
    np.testing.assert_allclose(found["p_genus"], [0.55, 0.7])
    np.testing.assert_allclose(found["p_kingdom"], 1.0)
    assert list(found["phylum"]) == ["", ""] and not found["p_phylum"].any()
    with pytest.raises(ValueError, match="1 of the 3 labels have no lineage"):
        answers_by_rank(told, {"a": lineages["a"], "b": lineages["b"]})
    with pytest.raises(ValueError, match="no column p_<label>"):
        answers_by_rank(told[["pattern"]], lineages)
