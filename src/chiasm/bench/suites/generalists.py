"""MultiMedBench and MultiMed: one model, many tasks, each by its metric; Med-MAT: modality, area and task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from chiasm.bench.averages import RIGHT_OR_NEAR, MeanOver, by_metric
from chiasm.bench.figures import ACCURACY, TOKEN_F1
from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import needed, once, rows_of, stated_item
from chiasm.citation import Citation

METRICS = {
    "MedQA": "accuracy",
    "MedMCQA": "accuracy",
    "PubMedQA": "accuracy",
    "VQA-RAD": "token_f1",
    "Slake-VQA": "token_f1",
    "Path-VQA": "token_f1",
    "MIMIC-III": "token_f1",
    "MIMIC-CXR report": "token_f1",
    "MIMIC-CXR": "macro_f1",
    "PAD-UFES-20": "macro_f1",
    "CBIS-DDSM mass": "macro_f1",
    "CBIS-DDSM calcification": "macro_f1",
    "VinDr-Mammo": "macro_f1",
    "PrecisionFDA": "macro_f1",
}
"""The fourteen tasks of MultiMedBench, each with the metric that answers allow."""


def read_stated(folder: Path, name: str, tags: tuple[str, ...], known: frozenset[str], source: str) -> Items:
    """Read `<name>.jsonl`, lines of `stated_item` with the tags of the suite, each of which has to be there.

    Args:
        known: tasks that are asked; none: all.
    """
    path = found_file(folder, f"{name}.jsonl", source=source)
    seen = set[str]()

    def item(number: int, row: Mapping[str, Any]) -> Item:
        for tag in tags:
            needed(row, tag)
        if known and needed(row, "task") not in known:
            raise ValueError("'task' is none of the benchmark's")
        return once(stated_item(folder, row, tags), seen)

    return made(path, rows_of(path), item)


def reader(
    name: str, tags: tuple[str, ...], source: str, known: frozenset[str] = frozenset()
) -> Callable[[Path], Items]:
    """Return the reader of a suite whose schema is stated here."""
    return partial(read_stated, name=name, tags=tags, known=known, source=source)


def stated_files(name: str, tags: tuple[str, ...]) -> str:
    """Say what has to stand in the file."""
    return f"{name}.jsonl: id, question, answer, {', '.join(tags)}, and options, image (under images/), context, group"


_MAT = ("modality", "area", "task")
MULTIMEDBENCH = Questions(
    "multimedbench",
    "MultiMedBench (Med-PaLM M)",
    Citation("Towards Generalist Biomedical AI", "NEJM AI", 2024, "https://arxiv.org/abs/2307.14334"),
    files=stated_files("multimedbench", ("task",)),
    source="https://arxiv.org/abs/2307.14334 (fourteen data sets, each released on its own)",
    licence="of each data set its own; some ask for credentials",
    setting="tasks weigh alike; classes by macro F1, where the paper has macro AUC, and texts by token F1",
    reader=reader("multimedbench", ("task",), "its fourteen data sets", frozenset(METRICS)),
    scored=(MeanOver("task", by_metric(METRICS), "task_mean", "mean of the tasks"), ACCURACY, TOKEN_F1),
    primary="task_mean",
)
MULTIMED = Questions(
    "multimed",
    "MultiMed (10 modalities, 11 tasks)",
    Citation(
        "MultiMed: Massively Multimodal and Multitask Medical Understanding",
        *("arXiv", 2024, "https://arxiv.org/abs/2408.12682"),
    ),
    files=stated_files("multimed", ("modality", "task")),
    source="https://arxiv.org/abs/2408.12682 (no public files were found)",
    licence="not stated",
    setting="tasks weigh alike; texts by token F1",
    reader=reader("multimed", ("modality", "task"), "its authors"),
    scored=(
        MeanOver("task", RIGHT_OR_NEAR, "task_mean", "mean of the tasks"),
        MeanOver("modality", RIGHT_OR_NEAR, "modality_mean", "mean of the modalities"),
        ACCURACY,
        TOKEN_F1,
    ),
    primary="task_mean",
)
MED_MAT = Questions(
    "med-mat",
    "Med-MAT (modality, area, task)",
    Citation(
        "Exploring Compositional Generalization of Multimodal LLMs for Medical Imaging",
        *("ACL", 2025, "https://arxiv.org/abs/2412.20070"),
    ),
    files=stated_files("med_mat", _MAT),
    source="https://huggingface.co/datasets/FreedomIntelligence/Med-MAT (JSON whose columns are not documented)",
    licence="Apache-2.0; of the images that of each data set",
    setting="one question an image with up to four options; what to train on is chiasm.compositional_split's to say",
    reader=reader("med_mat", _MAT, "FreedomIntelligence/Med-MAT"),
    scored=(ACCURACY, MeanOver("task", ACCURACY, "task_mean", "mean of the tasks")),
)
