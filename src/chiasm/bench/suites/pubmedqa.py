"""PubMedQA: does the abstract answer the question of its title with yes, no or maybe."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, json_of, made, sha256
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import needed, words
from chiasm.citation import Citation

LABELS = ("yes", "no", "maybe")
RELEASE, TRUTH, TABLE, FOLDS = "ori_pqal.json", "test_ground_truth.json", "items.parquet", "folds.csv"
SOURCE = "https://github.com/pubmedqa/pubmedqa"
TRAIN = "train"


def read_pubmedqa(folder: Path, conclusion: bool = False) -> Items:
    """Read the labelled questions: the release's `ori_pqal.json`, or a table of questions and abstracts.

    The test split is taken where it is told, by `test_ground_truth.json` or a `folds.csv` that keeps some rows in
    `train`; else all 1,000 questions are asked.

    Args:
        folder: with one of the files.
        conclusion: show the abstract's conclusion, and not what it is drawn from; the table does not hold it.
    """
    path = found_file(folder, *((RELEASE,) if conclusion else (RELEASE, TABLE)), source=SOURCE)
    rows, test = (
        (released(path, conclusion), keys_of(folder)) if path.name == RELEASE else (tabled(path), folds_of(folder))
    )
    kept = [(number, row) for number, row in enumerate(rows, start=1) if not test or words(row, "id") in test]
    found = made(path, kept, pubmedqa_item)
    used = folder / (TRUTH if path.name == RELEASE else FOLDS)
    files = {**found.files, used.name: sha256(used)} if test else found.files
    lacking = len(test - {words(row, "id") for row in rows})
    lost = {**found.left_out, f"'{used.name}' names it, and '{path.name}' does not hold it": lacking}
    return Items(found.items, files, (), {why: number for why, number in lost.items() if number}, found.whole)


def released(path: Path, conclusion: bool) -> list[dict[str, Any]]:
    """Read the release: a mapping of identifiers to QUESTION, CONTEXTS, LONG_ANSWER and final_decision."""
    content = json_of(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"'{path.name}' is no mapping of questions: fetch it again")
    names = {
        "QUESTION": "question",
        "LONG_ANSWER" if conclusion else "CONTEXTS": "context",
        "final_decision": "decision",
    }
    return [
        {"id": str(name), **{names[key]: row[key] for key in names if isinstance(row, Mapping) and key in row}}
        for name, row in content.items()
    ]


def tabled(path: Path) -> list[dict[str, Any]]:
    """Read a table with `pmid`, `question`, `abstract` and `decision`."""
    import pandas as pd

    frame = pd.read_parquet(path)
    lacking = sorted({"pmid", "question", "abstract", "decision"} - set(frame.columns))
    if lacking:
        raise ValueError(f"'{path.name}' lacks the column '{lacking[0]}': it is another version")
    frame = frame.rename(columns={"pmid": "id", "abstract": "context"})
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def keys_of(folder: Path) -> set[str]:
    """Identifiers of the release's test split, none where it is not told.

    Raises:
        ValueError: the file that tells it names no question.
    """
    path = folder / TRUTH
    if not path.is_file():
        return set()
    content = json_of(path)
    if not isinstance(content, dict | list) or not content:
        raise ValueError(f"'{TRUTH}' names no question of the test: fetch it again, or remove it to ask all of them")
    return set(map(str, content))


def folds_of(folder: Path) -> set[str]:
    """Identifiers that a table of folds tests, where it keeps others in `train`; else none.

    Raises:
        ValueError: it keeps all of them in `train`.
    """
    import pandas as pd

    path = folder / FOLDS
    if not path.is_file():
        return set()
    frame = pd.read_csv(path, dtype=str)
    if not {"pmid", "fold"} <= set(frame.columns) or TRAIN not in set(frame["fold"]):
        return set()
    tested = set(frame.loc[(frame["fold"] != TRAIN) & frame["pmid"].notna(), "pmid"].str.strip())
    if not tested:
        raise ValueError(f"'{FOLDS}' keeps every question in '{TRAIN}': name the folds of the test")
    return tested


def pubmedqa_item(number: int, row: Mapping[str, Any]) -> Item:
    """Make an item of yes, no and maybe; of a context in parts each has its line."""
    label = needed(row, "decision").lower()
    if label not in LABELS:
        raise ValueError("the decision is none of yes, no and maybe")
    context = row["context"]
    if isinstance(context, list):
        if not all(isinstance(part, str) for part in context):
            raise ValueError("a part of the context is no text")
        context = "\n".join(context)
    if not isinstance(row["question"], str) or not isinstance(context, str) or not context.strip():
        raise ValueError("the question or the context is empty, or no text")
    return Item(needed(row, "id"), row["question"], LABELS, (LABELS.index(label),), context=context)


PAPER = Citation(
    "PubMedQA: A Dataset for Biomedical Research Question Answering", "EMNLP", 2019, "https://arxiv.org/abs/1909.06146"
)
PUBMEDQA = Questions(
    "pubmedqa",
    "PubMedQA (labelled, from the abstract)",
    PAPER,
    files=f"{RELEASE} with {TRUTH}, or {TABLE} with {FOLDS}",
    source=SOURCE,
    licence="MIT",
    setting="question and abstract without its conclusion, which the paper calls reasoning-required; answered at once, "
    "without reasoning in words",
    reader=read_pubmedqa,
    released={TABLE: "7361344c365acc5b93b2f94f67d5e7d99341783c8b427c523985a5726cf996cf"},
)
PUBMEDQA_CONCLUSION = Questions(
    "pubmedqa-conclusion",
    "PubMedQA (labelled, from the conclusion)",
    PAPER,
    files=f"{RELEASE} with {TRUTH}",
    source=SOURCE,
    licence="MIT",
    setting="question and the abstract's conclusion, which the paper calls reasoning-free",
    reader=partial(read_pubmedqa, conclusion=True),
)
