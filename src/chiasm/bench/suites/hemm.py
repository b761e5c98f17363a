"""HEMM: thirty multimodal data sets, each tagged by its use, its flow of information and the skills that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm.bench.averages import RIGHT_OR_NEAR, MeanOver
from chiasm.bench.figures import ACCURACY, TOKEN_F1
from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import needed, once, rows_of, stated_item
from chiasm.citation import Citation

FILE = "hemm.jsonl"
SOURCE = "https://github.com/pliang279/HEMM"
AXES = ("use", "flow", "interaction", "granularity", "reasoning", "knowledge")
"""Tags of an item: what it is for, how information flows, and four of the skills that it takes."""

_USES = {"m": "multimedia", "a": "affect", "s": "science", "h": "health", "i": "human-computer interaction"}
_FLOWS = {"q": "querying", "t": "translation", "f": "fusion"}
_INTERACTIONS = {"r": "redundancy", "u": "uniqueness", "s": "synergy"}
# Use, flow, interaction; F fine-grained, R more reasoning, K external knowledge, each - if not and ? if not tagged.
_CODES = {
    **dict.fromkeys(("vqa", "visualgen", "GQA", "nlvr", "winoground"), "mqrF--"),
    **dict.fromkeys(("flickr30k", "nocaps"), "mtu---"),
    **dict.fromkeys(("newyorkercartoon", "hatefulmemes", "memecaps", "memotion"), "afs-RK"),
    **dict.fromkeys(("ucmerced", "resisc45"), "squ---"),
    **dict.fromkeys(("slake", "vqarad", "plip"), "hqrFRK"),
    "okvqa": "mqrF-K",
    "vcr": "mfrF-?",
    "nlvr2": "mqr---",
    "mmimdb": "mfs---",
    "irfl": "mfs-R-",
    "faceemotion": "aqu---",
    "scienceqa": "sfs--K",
    "decimer": "stu-RK",
    "inat": "squF-K",
    "pathvqa": "hqrF-K",
    "enrico": "iqu---",
    "screen2words": "itu---",
}


def tags_of(dataset: str) -> dict[str, str]:
    """Return the tags of a data set by HEMM's taxonomy.

    Raises:
        ValueError: it is none of HEMM's; it is not repeated.
    """
    if dataset not in _CODES:
        raise ValueError("'dataset' is none of those that HEMM has tagged")
    use, flow, interaction, fine, reasoning, knowledge = list(_CODES[dataset])
    found = {
        "use": _USES[use],
        "flow": _FLOWS[flow],
        "interaction": _INTERACTIONS[interaction],
        "granularity": {"F": "fine-grained", "-": "coarse"}[fine],
        "reasoning": {"R": "more", "-": "less"}[reasoning],
        "knowledge": {"K": "external", "-": "none", "?": ""}[knowledge],
    }
    return {axis: level for axis, level in found.items() if level}


def read_hemm(folder: Path) -> Items:
    """Read the items of any of its data sets from one file that a user writes, since each is released on its own.

    A line has `id`, `dataset` (as HEMM calls it), `question`, `answer`, and may have `options`, `image`, `context`.
    """
    path = found_file(folder, FILE, source=SOURCE)
    seen = set[str]()

    def item(number: int, row: Mapping[str, Any]) -> Item:
        dataset = needed(row, "dataset")
        found = stated_item(folder, row, ())
        own = {"dataset": dataset, **tags_of(dataset)}
        group = found.group and f"{dataset}/{found.group}"
        return once(replace(found, id=f"{dataset}/{found.id}", tags=own, group=group), seen)

    return made(path, rows_of(path), item)


HEMM = Questions(
    "hemm",
    "HEMM",
    Citation(
        "HEMM: Holistic Evaluation of Multimodal Foundation Models", "NeurIPS", 2024, "https://arxiv.org/abs/2407.03418"
    ),
    files=f"{FILE}: id, dataset, question, answer, and options, image (under images/), context",
    source=SOURCE,
    licence="of each data set its own",
    setting="data sets weigh alike; texts by token F1, where the paper has BARTScore over its best and worst models",
    reader=read_hemm,
    scored=(MeanOver("dataset", RIGHT_OR_NEAR, "dataset_mean", "mean of the data sets"), ACCURACY, TOKEN_F1),
    primary="dataset_mean",
)
