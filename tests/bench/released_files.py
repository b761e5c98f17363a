"""Small made files in the schema of each release, so that a reader is held to it; no line of a release stands here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

Rows = Sequence[Mapping[str, Any]]


def json_lines(path: Path, rows: Rows) -> None:
    """Write rows as JSON lines."""
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")


def pathmmu(folder: Path) -> None:
    """Two sources, three splits, five questions of test and tiny on four images."""

    def row(number: int, answer: str, image: str, options: tuple[str, ...] = ("mitosis", "necrosis", "keratin")) -> Any:
        lettered = [f"{letter}) {text}" for letter, text in zip("ABCDE", options, strict=False)]
        whole = next(own for own in lettered if own.startswith(answer))
        return {
            "No": number,
            "question": f"What is seen in field {number}?",
            "options": lettered,
            "answer": whole,
            "img": image,
        }

    content = {
        "PubMed": {
            "test": [row(1, "B", "a.png"), row(2, "A", "a.png"), {**row(3, "A", "b.png"), "answer": "F) none"}],
            "test_tiny": [row(1, "C", "c.png")],
            "val": [row(9, "A", "z.png")],
        },
        "Atlas": {"test": [row(4, "A", "../../etc/passwd"), row(5, "B", "d.png", ("yes", "no"))], "test_tiny": []},
    }
    (folder / "data.json").write_text(json.dumps(content), encoding="utf-8")


def micro_bench(folder: Path) -> None:
    """Two images with a coarse and a fine question each, one of them without its answer among the options."""
    none = "none of the above"
    rows = []
    for number, (cell, stain) in enumerate([("basophil", "H&E"), ("monocyte", "none")]):
        fine = {
            "id": f"f{number}",
            "question": "Which cell?",
            "options": ["basophil", "monocyte", none],
            "answer": cell,
        }
        coarse = {"id": f"c{number}", "question": "Which stain?", "options": ["H&E", "Giemsa", none], "answer": stain}
        questions = {"classification": fine, "stain": coarse, "domain": None}
        rows.append({"image_id": f"im{number}", "dataset": "cells", "domain": "pathology", "questions": questions})
    table = pa.Table.from_pylist([{**row, "image": {"bytes": b"png", "path": None}} for row in rows])
    with (
        pa.OSFile(str(folder / "ubench-test-00000-of-00007.arrow"), "wb") as out,
        pa.ipc.new_stream(out, table.schema) as to,
    ):
        to.write_table(table)


def medmax(folder: Path) -> None:
    """A row of a closed, an open and a lettered set, and a caption, which is none of the twelve."""
    kinds = [
        ("vqa_rad", "closed", "yes"),
        ("slake", "open", "left lung"),
        ("pmc_vqa", "mcq", "C"),
        ("image_captioning", "quilt", "x"),
    ]
    rows = [
        {
            "task_name": task,
            "question_type": kind,
            "prompt": f"Question {k}?",
            "answer": answer,
            "image_path": f"{k}.jpg",
        }
        for k, (task, kind, answer) in enumerate([*kinds, ("probmed", "closed", "perhaps")])
    ]
    json_lines(folder / "medmax_eval_data.jsonl", rows)


def hemm(folder: Path) -> None:
    """Items of three data sets, with options and as text, and one of a data set that HEMM does not have."""
    rows = [
        {"id": "1", "dataset": "slake", "question": "Which organ?", "options": ["liver", "lung"], "answer": "lung"},
        {"id": "1", "dataset": "vqa", "question": "What colour?", "answer": "dark red", "image": "v.jpg"},
        {"id": "2", "dataset": "vqa", "question": "How many?", "answer": "two", "image": "v.jpg"},
        {"id": "1", "dataset": "hatefulmemes", "question": "Hateful?", "options": ["yes", "no"], "answer": "no"},
        {
            "id": "1",
            "dataset": "slake",
            "question": "Which organ then?",
            "options": ["liver", "lung"],
            "answer": "lung",
        },
        {"id": "1", "dataset": "mnist", "question": "Which digit?", "answer": "1"},
    ]
    json_lines(folder / "hemm.jsonl", rows)


def multimedbench(folder: Path) -> None:
    """Three tasks, each by another metric."""
    rows: list[dict[str, Any]] = [
        {
            "id": f"q{k}",
            "task": "MedQA",
            "question": f"Which of {k}?",
            "options": ["a1", "b1", "c1", "d1"],
            "answer": "b1",
        }
        for k in range(3)
    ]
    classes = ["nevus", "melanoma"]
    rows += [
        {
            "id": f"p{k}",
            "task": "PAD-UFES-20",
            "question": f"Which lesion {k}?",
            "options": classes,
            "answer": classes[k > 2],
        }
        for k in range(4)
    ]
    rows += [{"id": "v", "task": "VQA-RAD", "question": "Where?", "answer": "left upper lobe", "image": "v.png"}]
    rows += [{"id": "x", "task": "Chess", "question": "Mate?", "answer": "no"}]
    json_lines(folder / "multimedbench.jsonl", rows)


def multimed(folder: Path) -> None:
    """Two tasks in two modalities, and a row without its modality."""
    rows = [
        {"id": "1", "modality": "EEG", "task": "sleep", "question": "Stage?", "options": ["REM", "N2"], "answer": "N2"},
        {
            "id": "2",
            "modality": "OCT",
            "task": "disease",
            "question": "DME?",
            "options": ["Yes", "No"],
            "answer": "Yes",
        },
        {"id": "3", "task": "disease", "question": "DME?", "options": ["Yes", "No"], "answer": "Yes"},
    ]
    json_lines(folder / "multimed.jsonl", rows)


def med_mat(folder: Path) -> None:
    """Four combinations of modality, area and task."""
    names = [
        ("CT", "Lung", "Cancer"),
        ("CT", "Brain", "Bleeding"),
        ("MRI", "Lung", "Cancer"),
        ("X-ray", "Bone", "Fracture"),
    ]
    rows = [
        {
            "id": str(k), "modality": own[0], "area": own[1], "task": own[2], "question": f"What is in picture {k}?",
            "options": ["disease", "none"], "answer": "disease", "image": f"{k}.png",
        }
        for k, own in enumerate(names)
    ]  # fmt: skip
    json_lines(folder / "med_mat.jsonl", rows)


def olives(folder: Path) -> None:
    """Two persons of one trial each, two scans and two biomarkers, one cell empty."""
    rows = [
        ("/Prime_FULL/02-010/W0/OD/0.tif", 1, 0, 1, 88.0, 307.0, 57),
        ("/Prime_FULL/02-010/W0/OD/1.tif", 2, 1, 1, 88.0, 307.0, 57),
        ("/TREX DME/GILA/0234GOD/V1/OD/0.tif", 1, 0, None, 60.0, None, 4),
    ]
    names = [
        "Path (Trial/Folder/Week/Eye/Image Name)",
        "Scan (n/49)",
        "DRT/ME",
        "Fluid (IRF)",
        "BCVA",
        "CST",
        "Patient_ID",
    ]
    pd.DataFrame(rows, columns=names).to_csv(folder / "biomarker_attributes_patient_added.csv", index=False)


def biotalk(folder: Path) -> None:
    """Four genes of three families, one of them in training."""
    names = ["AC", "EC", "OC", "UniRef50", "EmblCdsId", "Sequence"]
    rows = [
        ("P1", "1.3.1.9", "Bacteria", "UniRef50_A", "C1", "ATGAAA"),
        ("P2", "1.3.1.8", "Bacteria", "UniRef50_A", "C2", "ATGAAC"),
        ("P3", "2.7.-.-", "Archaea", "UniRef50_B", "C3", "ATGCCC"),
        ("P4", "unknown", "Archaea", "UniRef50_C", "C4", "ATGCCC"),
    ]
    pd.DataFrame(rows, columns=names).to_csv(folder / "test1.csv", index=False)
    pd.DataFrame(rows[:1], columns=names).to_parquet(folder / "Train.parquet")


MADE: dict[str, Callable[[Path], None]] = {
    "pathmmu": pathmmu,
    "pathmmu-tiny": pathmmu,
    "micro-bench": micro_bench,
    "hemm": hemm,
    "multimed": multimed,
    "multimedbench": multimedbench,
    "medmax": medmax,
    "med-mat": med_mat,
    "olives": olives,
    "biotalk": biotalk,
}
"""Name of a suite to what writes its files."""
