"""mu-Bench: closed questions on microscopy images, five on what kind of image it is, one on what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.bench.averages import MeanOver, only
from chiasm.bench.figures import ACCURACY
from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, joined, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import needed, picture, place_of, rows_of, words
from chiasm.citation import Citation

SOURCE = "https://huggingface.co/datasets/jnirschl/uBench"
PATTERN = "ubench-test-*"
COARSE = ("domain", "subdomain", "modality", "submodality", "stain")
"""Questions on the kind of an image; each other key is a question on what it shows."""


def read_micro_bench(folder: Path) -> Items:
    """Read every shard of the test split: Arrow as released, or Parquet or JSON lines with the same columns.

    A row is an image with `questions`, which maps a key to `id`, `question`, `options` and `answer` (the text of one),
    or to nothing. Pictures stand within the shards, and a candidate is handed files: `images/<image_id>.png`.
    """
    shards = sorted(own for own in folder.glob(PATTERN) if own.suffix in (".arrow", ".parquet", ".jsonl"))
    paths = shards or [found_file(folder, "ubench-test-00000-of-00007.arrow", "ubench-test.jsonl", source=SOURCE)]
    return joined([_shard(folder, path) for path in paths])


def _shard(folder: Path, path: Path) -> Items:
    def rows() -> Iterator[tuple[int, tuple[str, dict[str, Any], dict[str, Any]]]]:
        for number, row in rows_of(path):
            questions = row.get("questions")
            if not isinstance(questions, dict):
                yield number, ("", row, {})
                continue
            for key, asked in questions.items():
                if asked is not None:
                    yield number, (str(key), row, asked)

    def item(number: int, entry: tuple[str, dict[str, Any], dict[str, Any]]) -> Item:
        key, row, own = entry
        if not key:
            raise KeyError("questions")
        if not isinstance(own["options"], list):
            raise ValueError("'options' is no list of texts")
        options = tuple(str(option).strip() for option in own["options"])
        image = needed(row, "image_id")
        tags = {"grain": "coarse" if key in COARSE else "fine", "question": key}
        tags |= {name: words(row, name) for name in ("domain", "modality", "dataset") if words(row, name)}
        place = place_of(needed(own, "answer"), options)
        return Item(
            f"{image}/{key}", needed(own, "question"), options, (place,), group=image, tags=tags,
            attachments=picture(folder, f"{image}.png"),
        )  # fmt: skip

    return made(path, rows(), item)


MICRO_BENCH = Questions(
    "micro-bench",
    "mu-Bench (perception, test)",
    Citation(
        "Micro-Bench: A Microscopy Benchmark for Vision-Language Understanding",
        *("NeurIPS", 2024, "https://arxiv.org/abs/2407.01791"),
    ),
    files="perception/0.1.0/ubench-test-*.arrow; the pictures as images/<image_id>.png",
    source=SOURCE,
    licence="CC BY-SA 4.0",
    setting="closed questions, options in the order of the release; questions on one image are drawn together",
    reader=read_micro_bench,
    scored=(
        ACCURACY,
        only("coarse", "coarse perception", "grain", "coarse"),
        only("fine", "fine perception", "grain", "fine"),
        MeanOver("dataset", ACCURACY, "dataset_mean", "mean of the data sets"),
    ),
)
