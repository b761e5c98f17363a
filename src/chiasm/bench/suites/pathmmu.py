"""PathMMU: questions on pathology images with up to five options, of five sources, checked by pathologists."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from chiasm.bench.averages import MeanOver
from chiasm.bench.figures import ACCURACY
from chiasm.bench.item import LETTERS, Item, Items
from chiasm.bench.reading import found_file, json_of, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import lettered, needed, picture
from chiasm.citation import Citation

FILE = "data.json"
SOURCE = "https://huggingface.co/datasets/jamessyx/PathMMU"
SPLITS = ("test", "test_tiny")
BY_SOURCE = MeanOver("source", ACCURACY, "source_mean", "mean of the sources")


def read_pathmmu(folder: Path, splits: tuple[str, ...] = SPLITS) -> Items:
    """Read the questions of some splits; those on one image are drawn together.

    `data.json` maps a source (PubMed, SocialPath, EduContent, Atlas, PathCLS) to splits, each a list of `No`,
    `question`, `options` (`A) ...`), `answer` (the whole option) and `img`, a file under `images/`.
    """
    path = found_file(folder, FILE, source=SOURCE)
    content = json_of(path)
    if not isinstance(content, dict) or not all(isinstance(own, dict) for own in content.values()):
        raise ValueError(f"'{path.name}' does not map sources to splits: fetch it again")

    def rows() -> Iterator[tuple[int, tuple[str, str, dict[str, Any]]]]:
        number = 0
        for source, parts in content.items():
            for split in splits:
                for row in parts.get(split, ()):
                    number += 1
                    yield number, (str(source), split, row)

    def item(number: int, entry: tuple[str, str, dict[str, Any]]) -> Item:
        source, split, row = entry
        options, answer = lettered(row["options"]), needed(row, "answer")
        place = LETTERS.find(answer[:1].upper())
        if not 0 <= place < len(options) or (
            len(answer) > 1 and lettered([*row["options"]])[place] != answer[2:].strip()
        ):
            raise ValueError("the answer is none of the options")
        image = needed(row, "img")
        return Item(
            f"{source}/{split}/{needed(row, 'No')}", needed(row, "question"), options, (place,), group=image,
            tags={"source": source, "split": split}, attachments=picture(folder, image),
        )  # fmt: skip

    return made(path, rows(), item)


PAPER = Citation(
    "PathMMU: A Massive Multimodal Expert-Level Benchmark for Understanding and Reasoning in Pathology",
    *("ECCV", 2024, "https://arxiv.org/abs/2401.16355"),
)
PATHMMU = Questions(
    "pathmmu",
    "PathMMU (test)",
    PAPER,
    files=f"{FILE}; the images under images/, some of which are fetched from their own sources",
    source=SOURCE,
    licence="CC BY-ND 4.0; of the images that of each source",
    setting="no examples; test and its tiny part together, as the paper's test_overall; blind is the text alone",
    reader=read_pathmmu,
    scored=(ACCURACY, BY_SOURCE),
)
PATHMMU_TINY = Questions(
    "pathmmu-tiny",
    "PathMMU (test tiny, which experts have answered too)",
    PAPER,
    files=PATHMMU.files,
    source=SOURCE,
    licence=PATHMMU.licence,
    setting="no examples; the part that pathologists answered; blind is the text alone",
    reader=partial(read_pathmmu, splits=("test_tiny",)),
    scored=(ACCURACY, BY_SOURCE),
)
