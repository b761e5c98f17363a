"""MedQA (USMLE, four options) and MedMCQA (entrance examinations of India, four options), as released."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chiasm.bench.item import LETTERS, Item, Items
from chiasm.bench.reading import found_file, json_lines, made
from chiasm.bench.suite import Questions
from chiasm.citation import Citation

MEDQA_FILES = ("medqa_us_4_options_test.jsonl", "phrases_no_exclude_test.jsonl", "test.jsonl")
MEDMCQA_FILES = ("medmcqa_dev.jsonl", "dev.json", "dev.jsonl")


def read_medqa(folder: Path) -> Items:
    """Read the questions of the United States with four options: `question`, `options` by letter, `answer_idx`."""
    path = found_file(folder, *MEDQA_FILES, source="github.com/jind11/MedQA")
    return made(path, json_lines(path), medqa_item)


def medqa_item(number: int, row: dict[str, Any]) -> Item:
    """Make an item; the letter has to be that of the text that the file calls the answer."""
    options, letter = dict(row["options"]), str(row["answer_idx"]).strip()
    letters = sorted(options)
    if letters != list(LETTERS[: len(letters)]) or letter not in letters:
        raise ValueError("the letters of the options are not A, B and so on, or the answer is none of them")
    if "answer" in row and str(row["answer"]).strip() != str(options[letter]).strip():
        raise ValueError("the letter of the answer is not that of its text")
    texts = tuple(str(options[own]) for own in letters)
    tags = {"step": str(row["meta_info"])} if row.get("meta_info") else {}
    return Item(f"medqa-{number:05d}", str(row["question"]), texts, (letters.index(letter),), tags=tags)


def read_medmcqa(folder: Path) -> Items:
    """Read the development split, whose answers are public: `opa` to `opd`, and `cop`, from 1 or from 0 by release.

    Raises:
        ValueError: whether `cop` counts from 0 or from 1 cannot be told: neither 0 nor 4 stands in it, or both.
    """
    path = found_file(folder, *MEDMCQA_FILES, source="github.com/medmcqa/medmcqa")
    rows = list(json_lines(path))
    places = [row.get("cop") for _, row in rows]  # of any type
    if (0 in places) == (4 in places):
        raise ValueError(
            f"'{path.name}' does not tell whether 'cop' counts from 0 or from 1: name the whole file of a release"
        )
    start = 0 if 0 in places else 1

    def item(number: int, row: dict[str, Any]) -> Item:
        texts = tuple(str(row[f"op{letter}"] or "") for letter in "abcd")
        place = row["cop"]
        if isinstance(place, bool) or not isinstance(place, int):
            raise ValueError("the answer is no number")
        tags = {"subject": str(row["subject_name"])} if row.get("subject_name") else {}
        return Item(
            str(row.get("id") or f"medmcqa-{number:05d}"), str(row["question"]), texts, (place - start,), tags=tags
        )

    return made(path, rows, item)


MEDQA = Questions(
    "medqa",
    "MedQA (US, four options)",
    Citation(
        "What Disease Does This Patient Have? A Large-scale Open Domain Question Answering Dataset from Medical Exams",
        *("Applied Sciences", 2021, "https://arxiv.org/abs/2009.13081"),
    ),
    files=MEDQA_FILES[0],
    source="https://github.com/jind11/MedQA",
    licence="MIT",
    setting="no examples, no retrieval",
    reader=read_medqa,
    released={MEDQA_FILES[0]: "565528877ea4add2943fe62992ff6cce295aab805509a6bfcc9de51beb10413a"},
)
MEDMCQA = Questions(
    "medmcqa",
    "MedMCQA (development split)",
    Citation(
        "MedMCQA: A Large-scale Multi-Subject Multi-Choice Dataset for Medical domain Question Answering",
        *("CHIL", 2022, "https://arxiv.org/abs/2203.14371"),
    ),
    files=MEDMCQA_FILES[0],
    source="https://github.com/medmcqa/medmcqa",
    licence="MIT",
    setting="no examples, no explanation; the test split has no public answers",
    reader=read_medmcqa,
    released={MEDMCQA_FILES[0]: "a2b5f53890f4e742b728378fb847bc5338088d48ea01218676379f587270af31"},
)
