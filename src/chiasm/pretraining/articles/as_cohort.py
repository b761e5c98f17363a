"""Shards as a cohort: each sample a patient of a picture and a text, each article a group."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

from chiasm.artifact import whole_file, write_text
from chiasm.pretraining.articles.shards import Shards
from chiasm.pretraining.articles.stream import Order, Sample, stream
from chiasm.readers.reading import ReadError

PICTURES = ("jpg", "jpeg", "png", "webp", "tif", "tiff")
COLUMNS = ("pair", "article", "licence", "caption")
MANIFEST = """name = "articles"
[patients]
table = "pairs.csv"
id = "pair"
group = "article"                # no fold parts the figures of an article
[modalities.picture]
kind = "image"
path = "pictures/{id}"
[modalities.caption]
kind = "text"
column = "caption"
"""


def write_cohort(shards: Shards, folder: Path) -> int:
    """Write `cohort.toml`, `pairs.csv` and `pictures/` of the samples that have both; return how many there are.

    Raises:
        ReadError: no sample has a picture and a text, or a key cannot be the name of a file.
    """
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    many = 0
    with whole_file(folder / "pairs.csv") as staging, staging.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for sample in stream(shards, Order()):
            for row, data in _row(sample):
                (folder / "pictures" / row[0]).write_bytes(data)
                rows.writerow(row)
                many += 1
        if not many:
            raise ReadError("no sample of the shards has a picture and a text", "name shards of pairs")
    write_text(folder / "cohort.toml", MANIFEST)
    return many


def _row(sample: Sample) -> Iterator[tuple[tuple[str, str, str, str], bytes]]:
    ending = next((own for own in PICTURES if own in sample.parts), None)
    if ending is None or "txt" not in sample.parts:
        return
    name = f"{sample.key.replace('/', '_')}.{ending}"
    if not re.fullmatch(r"[\w-][\w. -]{0,200}", name):
        raise ReadError("a key of the shards cannot be the name of a file", "name samples by letters, digits and -")
    told = _told(sample)
    article = told.get("article") or sample.key
    text = sample.parts["txt"].decode("utf-8", "replace").strip()
    yield (name, str(article), str(told.get("licence", "")), text), sample.parts[ending]


def _told(sample: Sample) -> dict[str, object]:
    try:
        told = json.loads(sample.parts.get("json", b"{}"))
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}
