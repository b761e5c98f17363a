"""Answers in words to the open questions of SLAKE, from the question and from what its image is labelled as.

    python benchmarks/texts.py [--data ../shared/data] [--work runs/texts]
    python benchmarks/texts.py --table    writes the part of docs/benchmarks.md

The 645 open questions of the English test set; the images are not at hand, and two labels of each, the part of the body
and the kind of scan, stand for what is seen on it. Five drawn folds of one repeat, seed 0, with the questions on an
image on one side; a model is fitted within each fold. Intervals are those of the trial: of images within folds. The
best training text is what none that says a training text again can pass. A finished cohort is one line of `--out`.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pandas as pd

import chiasm
from chiasm.shown import interval
from pages import part, rows_of, run

NAME, COHORT = "texts", "slake-open"
FORMS = (":modality=question", ":modality=scan")
RECIPES = ["early-fusion", *(f"{name}{form}" for name in ("kron-rls", "nearest-patient") for form in ("", *FORMS))]
CONTRASTS = [
    ("early-fusion", "single:question"),
    ("nearest-patient", "single:question"),
    ("nearest-patient", "early-fusion"),
]
METRICS = {"text_score": "token F1", "exact_match": "exact match", "rouge_l": "ROUGE-L"}
INTRODUCTION = """## Answers in words

`python benchmarks/texts.py`, its results in `benchmarks/results/texts.jsonl`; this part of the page is written by
`--table`. The open questions of SLAKE's English test set (Liu and others, ISBI 2021) without their images: `scan` holds
two labels of each, the part of the body and the kind of scan. Each model says one of the texts of its training
patients. Means over five folds with 95 % intervals, the questions on an image kept together.
"""
MANIFEST = """name = "slake-open"
[patients]
table = "questions.parquet"
id = "question_id"
group = "image"
[target]
kind = "text"
column = "answer"
[modalities.question]
kind = "text"
column = "question"
[modalities.scan]
kind = "table"
columns = ["location", "scan"]
[accept]
identical-patients = "the same is asked of many images, and the questions on an image are on one side"
"identical-modality:question" = "the same is asked of many images"
"""


def written(data: Path, place: Path) -> Path:
    """Write the open questions as a cohort; returns its manifest."""
    rows = json.loads((data / "wings" / "slake-text" / "slake_test_en.json").read_text(encoding="utf-8"))
    own = pd.DataFrame([row for row in rows if row["answer_type"] == "OPEN"])
    place.mkdir(parents=True, exist_ok=True)
    named = {"qid": "question_id", "img_id": "image", "modality": "scan"}
    kept = own.rename(columns=named)[["question_id", "image", "question", "location", "scan", "answer"]]
    kept.to_parquet(place / "questions.parquet", index=False)
    (place / "cohort.toml").write_text(MANIFEST, encoding="utf-8")
    return place / "cohort.toml"


def one(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Evaluate the recipes: a line of the results."""
    start = time.perf_counter()
    cohort = chiasm.encode(chiasm.open_cohort(written(data, work / "cohort")), jobs=1).cohort
    protocol = chiasm.Protocol(folds=5, repeats=1)
    trial = chiasm.evaluate(
        cohort, RECIPES, protocol, seed=0, contrasts=CONTRASTS, out=work / "run", resume=True, jobs=1
    )
    assert cohort.group is not None and trial.verdict is not None
    told = trial.document["said"]
    return {
        "cohort": name,
        "questions": len(cohort),
        "images": len(set(cohort.group.tolist())),
        "answers": told,
        "recipes": [{key: own[key] for key in ("name", "metrics")} for own in trial.document["recipes"]],
        "verdict": trial.verdict.sentence,
        "contrasts": [own["sentence"] for own in trial.document["contrasts"]],
        "seconds": round(time.perf_counter() - start),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the table and the sentences between the marks of the page, and return them."""
    row = rows_of(results)[COHORT]
    told = row["answers"]
    lines = [
        INTRODUCTION,
        f"{row['questions']:,} questions on {row['images']:,} images.",
        "",
        "| recipe | " + " | ".join(METRICS.values()) + " |",
        "|---|" + "---|" * len(METRICS),
    ]
    for own in sorted(row["recipes"], key=lambda own: own["metrics"]["text_score"]["mean"]):
        cells = [interval(*(own["metrics"][name][end] for end in ("mean", "low", "high"))) for name in METRICS]
        lines.append(f"| `{own['name']}` | " + " | ".join(cells) + " |")
    lines.append(f"| the best training text | {told['ceiling']:.3f} | {told['word_for_word']:.3f} | - |")
    lines += ["", *(f"- {sentence}" for sentence in [row["verdict"], *row["contrasts"]])]
    return part(page, NAME, "\n".join(lines) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, [COHORT], one, write_part)
