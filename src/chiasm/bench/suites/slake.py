"""SLAKE (English): questions on radiological images, yes or no or a free text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.bench.figures import ACCURACY, EXACT, OVERALL, TOKEN_F1
from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, json_of, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import picture
from chiasm.citation import Citation

SOURCE = "https://www.med-vqa.com/slake"
FILES = ("slake_test_en.json", "test.json")
YES_NO = ("Yes", "No")
ENGLISH = "en"


def read_slake(folder: Path) -> Items:
    """Read the English questions of the test split; those of other languages are left out and counted.

    A closed question with yes or no is asked with both as options. Another closed one names its options in the
    question, and is asked as free text, as an open one is. Questions on one image stand in one group.
    """
    path = found_file(folder, *FILES, source=SOURCE)
    rows = json_of(path)
    if not isinstance(rows, list):
        raise ValueError(f"'{path.name}' is no list of questions: fetch it again")

    def item(number: int, row: Mapping[str, Any]) -> Item:
        if row.get("q_lang", ENGLISH) != ENGLISH:
            raise ValueError("the question is not in English")
        image, answer = str(row["img_name"]), str(row["answer"]).strip()
        closed = str(row["answer_type"]).upper() == "CLOSED"
        options = YES_NO if closed and answer in YES_NO else ()
        right: tuple[int, ...] | tuple[str, ...] = (YES_NO.index(answer),) if options else (answer,)
        tags = {
            "answer": "closed" if closed else "open",
            **{name: str(row[key]) for name, key in TAGS.items() if row.get(key)},
        }
        files = picture(folder, image, "imgs")
        return Item(str(row["qid"]), str(row["question"]), options, right, group=image, tags=tags, attachments=files)

    return made(path, enumerate(rows, start=1), item)


TAGS = {"content": "content_type", "modality": "modality", "location": "location"}
SLAKE = Questions(
    "slake",
    "SLAKE (English test)",
    Citation(
        "SLAKE: A Semantically-Labeled Knowledge-Enhanced Dataset for Medical Visual Question Answering",
        *("ISBI", 2021, "https://arxiv.org/abs/2102.09542"),
    ),
    files=f"{FILES[0]} or {FILES[1]} of the release; the images as imgs/<img_name>",
    source=SOURCE,
    licence="CC BY 4.0",
    setting="yes and no as options, all else as free text; questions on one image are drawn together",
    reader=read_slake,
    scored=(OVERALL, ACCURACY, EXACT, TOKEN_F1),
    primary=OVERALL.id,
    released={FILES[0]: "2d37564b6a2672e37ca055ae029caff8f87ebf1954d2e05607b91391e234d242"},
)
