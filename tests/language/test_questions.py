"""Releases of questions, captions and reports become cohorts with their folds, whatever style they are written in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm.language.question_sets.styles import STYLES, read_release, report_of
from command_line import Run

REPORT = (
    "          FINAL REPORT\n INDICATION:  ___ year old with cough.\n\n FINDINGS:  The lungs are\n clear.\n\n"
    " IMPRESSION: No pneumonia.\n"
)


def picture(path: Path, grey: int = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8), grey, dtype=np.uint8)).save(path, format="PNG")


def as_json(path: Path, rows: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows), encoding="utf-8")


def slake(folder: Path) -> None:
    def row(number: int, answer: str, kind: str, language: str = "en") -> dict[str, Any]:
        return {"qid": number, "img_name": f"x{number % 2}/source.jpg", "question": f"Question {number}?",
                "answer": answer, "answer_type": kind, "q_lang": language}  # fmt: skip

    as_json(folder / "train.json", [row(1, "Yes", "CLOSED"), row(2, "Lung", "OPEN"), row(3, "No", "CLOSED", "zh")])
    as_json(folder / "validate.json", [row(4, "No", "CLOSED")])
    as_json(folder / "test.json", [row(5, "Liver, Spleen", "CLOSED"), row(6, "", "OPEN"), row(5, "again", "OPEN")])
    picture(folder / "imgs" / "x1" / "source.jpg")


def vqa_rad(folder: Path) -> None:
    rows = [
        {"qid": k, "image_name": f"synpic{k // 2}.jpg", "question": "Is it?", "answer": answer, "answer_type": kind,
         "phrase_type": phrase}
        for k, (answer, kind, phrase) in enumerate(
            [("Yes", "CLOSED", "freeform"), ("no", "CLOSED", "test_freeform"), (3, "OPEN", "para"),
             ("left", "OPEN", "test_para")]
        )
    ]  # fmt: skip
    as_json(folder / "VQA_RAD Dataset Public.json", rows)
    picture(folder / "VQA_RAD Image Folder" / "synpic0.jpg")


def pathvqa(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"image": "a.png", "question": "Is it red?", "answer": "yes"}, {"image": "../out.png", "question": "b?",
            "answer": "b"}]  # fmt: skip
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pd.DataFrame(rows[:1]).to_csv(folder / "test.csv", index=False)
    picture(folder / "images" / "a.png")
    picture(folder.parent / "out.png")


def roco(folder: Path) -> None:
    for split in ("train", "test"):
        place = folder / split / "radiology"
        place.mkdir(parents=True)
        lines = [f"ROCO_{split}_1\tA {split} radiograph.", f"ROCO_{split}_2\t "]
        (place / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        picture(place / "images" / f"ROCO_{split}_1.jpg")


def mimic(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = [("d1", "50", "10000032", "train"), ("d2", "51", "10000032", "train"), ("d3", "52", "10000099", "test"),
            ("d4", "53", "10000099", "test"), ("d5", "../54", "10000099", "test")]  # fmt: skip
    table = pd.DataFrame(rows, columns=["dicom_id", "study_id", "subject_id", "split"])
    table.to_csv(folder / "mimic-cxr-2.0.0-split.csv", index=False)
    own = folder / "files" / "p10"
    for study, patient in (("50", "10000032"), ("52", "10000099"), ("53", "10000099")):
        (own / f"p{patient}").mkdir(parents=True, exist_ok=True)
        text = REPORT.replace("No", f"{study}: no") if study != "53" else "INDICATION: none\n"
        (own / f"p{patient}" / f"s{study}.txt").write_text(text, encoding="utf-8")
    picture(own / "p10000032" / "s50" / "d1.jpg")


MADE: dict[str, tuple[Callable[[Path], None], dict[str, str], int, int]] = {
    # style: what writes it, each row's split, rows with an image, rows left out
    "slake": (slake, {"1": "train", "2": "train", "4": "train", "5": "test"}, 2, 3),
    "vqa-rad": (vqa_rad, {"0": "train", "1": "test", "2": "train", "3": "test"}, 2, 0),
    "pathvqa": (pathvqa, {"train-1": "train", "train-2": "train", "test-1": "test"}, 2, 0),
    "roco": (roco, {"ROCO_train_1": "train", "ROCO_test_1": "test"}, 2, 2),
    "mimic-cxr": (mimic, {"d1": "train", "d3": "test"}, 1, 3),
}


@pytest.mark.parametrize("style", STYLES)
def test_a_release_is_a_cohort_with_its_folds(style: str, tmp_path: Path) -> None:
    write, splits, images, lost = MADE[style]
    write(tmp_path / "release")
    found = chiasm.questions(tmp_path / "release", style, tmp_path / "cohort", instruct=True)
    assert dict(zip(found.table["id"], found.table["split"], strict=True)) == splits
    assert (int(found.table["image"].sum()), sum(found.left_out.values())) == (images, lost)
    cohort = chiasm.open_cohort(found.cohort)
    assert cohort.fold is not None and cohort.group is not None
    assert dict(zip(cohort.ids.tolist(), cohort.fold.tolist(), strict=True)) == splits
    assert {name: len(cohort.rows_of(name)) for name in cohort.modalities} == {"image": images, "question": len(splits)}
    errors = [str(problem) for problem in chiasm.check_cohort(cohort) if problem.severity == "error"]
    assert [own for own in errors if "fewer" not in own and "few" not in own] == []


def test_every_question_of_an_image_and_every_image_of_a_patient_is_one_group(tmp_path: Path) -> None:
    slake(tmp_path / "s")
    groups = {row.id: row.group for row in read_release(tmp_path / "s", "slake").rows}
    assert groups["2"] == groups["4"] != groups["1"]
    mimic(tmp_path / "m")
    assert {row.group for row in read_release(tmp_path / "m", "mimic-cxr").rows} == {"10000032", "10000099"}


def test_a_choice_takes_what_is_answered_by_yes_or_no(tmp_path: Path) -> None:
    slake(tmp_path / "release")
    found = chiasm.questions(tmp_path / "release", "slake", tmp_path / "cohort", target="choice")
    assert dict(zip(found.table["id"], found.table["answer"], strict=True)) == {"1": "yes", "4": "no"}
    cohort = chiasm.open_cohort(found.cohort)
    assert cohort.options is not None and cohort.options.texts.tolist() == [("yes", "no")] * 2
    roco(tmp_path / "captions")
    with pytest.raises(ValueError, match="take --target text"):
        chiasm.questions(tmp_path / "captions", "roco", tmp_path / "other", target="choice")
    assert not (tmp_path / "other").exists()


def test_an_image_outside_the_release_is_none(tmp_path: Path) -> None:
    pathvqa(tmp_path / "release")
    rows = {row.id: row.image for row in read_release(tmp_path / "release", "pathvqa").rows}
    assert rows["train-2"] is None and rows["train-1"] is not None


def test_none_is_an_answer_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(
        "image,question,answer\na.jpg,Which mass?,None\na.jpg,Which side?,NA\nb.jpg,Why?,\n"
    )
    found = read_release(tmp_path, "pathvqa")
    assert [row.answer for row in found.rows] == ["None", "NA"] and found.left_out == {"'answer' is empty": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (REPORT, "The lungs are clear.\nNo pneumonia."),
        ("IMPRESSION: Clear.", "Clear."),
        ("FINDINGS: a\n WET READ: b\n", "a"),
        ("nothing of it", ""),
    ],
)
def test_a_report_is_its_findings_and_impression(text: str, said: str) -> None:
    assert report_of(text) == said


def test_what_is_no_release_is_refused(tmp_path: Path, run: Run) -> None:
    (tmp_path / "a").mkdir()
    for style in STYLES:
        with pytest.raises(ValueError, match=r"'a' lacks .*https://"):
            read_release(tmp_path / "a", style)
    with pytest.raises(ValueError, match="it is one of slake"):
        read_release(tmp_path / "a", "vqa")
    (tmp_path / "a" / "train_vqa.pkl").write_bytes(b"")
    with pytest.raises(ValueError, match="opening a pickle can run any code"):
        read_release(tmp_path / "a", "pathvqa")
    as_json(tmp_path / "a" / "train.json", [{"question": "a?"}, {"question": "", "answer": "b"}])
    with pytest.raises(
        ValueError, match=r"no row that can be used \(1: the row has no 'answer'; 1: 'question' is empty"
    ):
        read_release(tmp_path / "a", "slake")
    slake(tmp_path / "s")
    assert run("questions", tmp_path / "s", "--style", "slake", "--out", tmp_path / "c").code == 0
    said = run("questions", tmp_path / "s", "--style", "slake", "--out", tmp_path / "c")
    assert said.code == 2 and "--force" in said.err
    told = json.loads(
        run("questions", tmp_path / "s", "--style", "slake", "--out", tmp_path / "c", "--force", "--json").out
    )
    assert (told["rows"], told["images"], sum(told["left_out"].values())) == (4, 2, 3)


def test_slake_as_it_was_released(shared_data: Path, tmp_path: Path) -> None:
    if not (shared_data / "wings" / "slake-text").is_dir():
        pytest.skip("the questions of SLAKE are not here")
    found = chiasm.questions(shared_data / "wings" / "slake-text", "slake", tmp_path / "slake")
    assert len(found.table) == 1061 and not found.left_out and found.table["group"].nunique() == 96
