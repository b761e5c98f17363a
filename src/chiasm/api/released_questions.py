"""Public functions to make a cohort of released questions on images, and instructions of captions and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chiasm.artifact import whole_folder
from chiasm.errors import count
from chiasm.language.question_sets.as_cohort import TEXT, written
from chiasm.language.question_sets.instructions import instructed
from chiasm.language.question_sets.styles import read_release


@dataclass(frozen=True, repr=False)
class Questions:
    """A release as a cohort.

    Attributes:
        table: one row a question: id, answer, group, question, split, and whether its image lies there.
        left_out: rows that could not be used, by reason.
        cohort: the manifest that was written.
    """

    table: pd.DataFrame
    left_out: Mapping[str, int]
    cohort: Path

    def __repr__(self) -> str:
        return f"Questions: {self.sentence}"

    @property
    def sentence(self) -> str:
        """How many there are, of how many groups, with how many images, and how many are to be tested."""
        images, tested = int(self.table["image"].sum()), int((self.table["split"] == "test").sum())
        groups = count(self.table["group"].nunique(), "group")
        return f"{count(len(self.table), 'row')} of {groups}, {images:,} with an image, {tested:,} to be tested"


def questions(
    release: Path | str,
    style: str,
    out: Path | str,
    *,
    target: str = TEXT,
    instruct: bool = False,
    seed: int = 0,
    force: bool = False,
) -> Questions:
    """Write a cohort of released questions, captions or reports on images: see docs/language.md for the styles.

    Args:
        release: the folder of the release, as it was fetched.
        style: "slake", "vqa-rad", "pathvqa", "roco" or "mimic-cxr".
        out: the folder of the cohort; it is written whole or not at all.
        target: "text", the answer as it is written, or "choice" of the questions that are answered by yes or no.
        instruct: ask for each caption or report by a sentence drawn from templates, so that there is a question.
        seed: of these draws.
        force: replace a folder that is there.

    Raises:
        ValueError: no such style or target, a file lacks or cannot be read, or no row is left.
        FileExistsError: the folder is there.
    """
    folder = Path(out)
    if folder.exists() and not force:
        raise FileExistsError(17, "exists already: choose another --out, or add --force to replace it", str(folder))
    found = read_release(release, style)
    rows = instructed(found.rows, seed=seed) if instruct else found.rows
    with whole_folder(folder, replace=force) as staging:
        table = written(rows, staging, style, target)
    return Questions(table, found.left_out, folder / "cohort.toml")
