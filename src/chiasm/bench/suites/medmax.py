"""MedMax's evaluation data: twelve sets of questions on biomedical images, closed, open and with four options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.bench.averages import RIGHT_OR_NEAR, MeanOver
from chiasm.bench.figures import ACCURACY, EXACT, TOKEN_F1
from chiasm.bench.item import LETTERS, Item, Items
from chiasm.bench.reading import found_file, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import YES_NO, needed, picture, rows_of
from chiasm.citation import Citation

SOURCE = "https://huggingface.co/datasets/mint-medmax/medmax_eval_data"
FILES = ("medmax_eval_data.jsonl", "medmax_eval_data.parquet", "train.parquet", "data.json")
SETS = frozenset(
    [f"{name}/{kind}" for name in ("vqa_rad", "slake", "pathvqa", "quilt_vqa") for kind in ("closed", "open")]
    + ["probmed/closed", "pmc_vqa/mcq", "omnimed_vqa/mcq", "path_mmu/mcq"]
)
"""Task and kind of question of the twelve sets."""


def read_medmax(folder: Path) -> Items:
    """Read the twelve sets: `prompt`, `answer`, `image_path`, `task_name`, and `question_type`.

    A closed question has yes or no as its answer; the options of one with options stand in its prompt, and a letter is
    its answer. Captions, chats and images to be made, which the file holds too, are left out and counted.
    """
    path = found_file(folder, *FILES, source=SOURCE)

    def item(number: int, row: Mapping[str, Any]) -> Item:
        kind, name = needed(row, "question_type"), f"{needed(row, 'task_name')}/{needed(row, 'question_type')}"
        if name not in SETS:
            raise ValueError("the row is of none of the twelve sets of questions")
        answer, image = needed(row, "answer"), needed(row, "image_path")
        options: tuple[str, ...] = ()
        right: tuple[int, ...] | tuple[str, ...] = (answer,)
        if kind != "open":
            options = YES_NO if kind == "closed" else tuple(LETTERS[:4])
            places = [k for k, option in enumerate(options) if option.casefold() == answer.casefold()]
            if not places:
                raise ValueError(f"the answer to a question of the kind '{kind}' is none of {', '.join(options)}")
            right = tuple(places)
        return Item(
            f"{name}/{number:06d}", needed(row, "prompt"), options, right, group=image,
            tags={"set": name, "kind": kind}, attachments=picture(folder, image),
        )  # fmt: skip

    return made(path, rows_of(path), item)


MEDMAX = Questions(
    "medmax",
    "MedMax, the twelve sets of questions",
    Citation(
        "MedMax: Mixed-Modal Instruction Tuning for Training Biomedical Assistants",
        *("arXiv", 2024, "https://arxiv.org/abs/2412.12661"),
    ),
    files="medmax_eval_data as .jsonl or .parquet; the images by their image_path",
    source=SOURCE,
    licence="of each set its own",
    setting="closed by yes and no, with options by their letter; open by token F1, where the paper asks GPT-4o",
    reader=read_medmax,
    scored=(MeanOver("set", RIGHT_OR_NEAR, "set_mean", "mean of the sets"), ACCURACY, EXACT, TOKEN_F1),
    primary="set_mean",
)
