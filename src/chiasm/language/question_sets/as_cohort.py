"""A release as a cohort: each question a patient with a question, an image and an answer, folds as released."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chiasm.artifact import write_text
from chiasm.language.question_sets.styles import TRAIN, YES_NO, Asked

PLAIN = re.compile(r"[\w-][\w. -]{0,200}")
TEXT, CHOICE = "text", "choice"
TARGETS = {
    TEXT: 'kind = "text"\ncolumn = "answer"\n',
    CHOICE: 'kind = "choice"\ncolumn = "answer"\noptions = "options"\nanswers = "text"\n',
}
PATIENTS = '[patients]\ntable = "questions.parquet"\nid = "id"\ngroup = "group"\n'
QUESTION = '[modalities.question]\nkind = "text"\ncolumn = "question"\n'
IMAGE = '[modalities.image]\nkind = "image"\npath = "images/{id}"\n'
FOLDS = '[folds]\ntable = "folds.csv"\n'


def written(rows: Sequence[Asked], folder: Path, name: str, target: str) -> pd.DataFrame:
    """Write `cohort.toml`, `questions.parquet`, `folds.csv` and `images/` of a release, and return the table.

    A choice takes the questions that are answered by yes or no; a text takes all. An image is linked where the disk
    allows it, else copied. Rows whose name cannot be that of a file are numbered.

    Raises:
        ValueError: there is no such target, or no question of it.
    """
    if target not in TARGETS:
        raise ValueError(f"there is no target '{target}': it is one of {', '.join(TARGETS)}")
    own = [row for row in rows if row.closed or target == TEXT]
    if not own:
        raise ValueError("no question is answered by yes or no: take --target text")
    plain = all(PLAIN.fullmatch(row.id) for row in own)
    ids = [row.id if plain else f"row-{number:07d}" for number, row in enumerate(own, 1)]
    frame = pd.DataFrame({"id": ids, "answer": [row.answer for row in own], "group": [row.group for row in own]})
    asked = any(row.question for row in own)
    if asked:
        frame["question"] = [row.question for row in own]
    if target == CHOICE:
        frame["answer"] = frame["answer"].str.casefold()
        frame["options"] = json.dumps(YES_NO)
    folder.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(folder / "questions.parquet")
    manifest = f"name = {json.dumps(name)}\n{PATIENTS}[target]\n{TARGETS[target]}" + (QUESTION if asked else "")
    there = [(key, row.image) for key, row in zip(ids, own, strict=True) if row.image is not None]
    if there:
        (folder / "images").mkdir(exist_ok=True)
        for key, image in there:
            linked(image, folder / "images" / key)
        manifest += IMAGE
    splits = {row.split for row in own}
    if len(splits) > 1:
        folds = pd.DataFrame({"id": ids, "fold": [TRAIN if row.split == TRAIN else "test" for row in own]})
        write_text(folder / "folds.csv", folds.to_csv(index=False))
        manifest += FOLDS
    write_text(folder / "cohort.toml", manifest)
    return frame.assign(split=[row.split for row in own], image=[row.image is not None for row in own])


def linked(image: Path, place: Path) -> None:
    """Put an image at a place: the same file under another name, or a copy where the disk has no such names."""
    place.unlink(missing_ok=True)
    try:
        os.link(image.resolve(), place)
    except OSError:
        shutil.copyfile(image, place)
