"""The six medical subjects of MMLU: a CSV each without a header, question, four options, letter."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from chiasm.bench.item import LETTERS, Item, Items
from chiasm.bench.reading import found_file, joined, made, text_of
from chiasm.bench.suite import Questions
from chiasm.citation import Citation

SUBJECTS = (
    *("anatomy", "clinical_knowledge", "college_biology"),
    *("college_medicine", "medical_genetics", "professional_medicine"),
)
SOURCE = "https://github.com/hendrycks/test"


def read_mmlu(folder: Path) -> Items:
    """Read the test files of the six subjects, which lie in the folder or in its folder `mmlu` or `test`."""
    place = next((folder / own for own in ("mmlu", "test") if (folder / own).is_dir()), folder)
    return joined([read_subject(found_file(place, f"{name}_test.csv", source=SOURCE), name) for name in SUBJECTS])


def read_subject(path: Path, subject: str) -> Items:
    """Read one subject."""

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            yield from enumerate((row for row in csv.reader(StringIO(text_of(path)), strict=True) if row), start=1)
        except csv.Error:
            raise ValueError(f"'{path.name}' is no CSV: fetch it again") from None

    def item(number: int, row: list[str]) -> Item:
        if len(row) != 6:
            raise ValueError("a row has not six fields: question, four options, letter")
        question, *options, letter = row
        if letter.strip() not in tuple(LETTERS[:4]):
            raise ValueError("the answer is no letter from A to D")
        place = LETTERS.index(letter.strip())
        return Item(f"{subject}-{number:04d}", question, tuple(options), (place,), tags={"subject": subject})

    return made(path, rows(), item)


MMLU_MEDICINE = Questions(
    "mmlu-medicine",
    "MMLU, six medical subjects (test)",
    Citation("Measuring Massive Multitask Language Understanding", "ICLR", 2021, "https://arxiv.org/abs/2009.03300"),
    files="<subject>_test.csv of anatomy, clinical_knowledge, college_biology, college_medicine, medical_genetics, "
    "professional_medicine",
    source=SOURCE,
    licence="MIT",
    setting="no examples",
    reader=read_mmlu,
    released={},
)
