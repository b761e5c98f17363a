"""BioTalk: which enzyme a gene codes for, as a number of the Enzyme Commission, scored along its hierarchy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.bench.item import Item, Items
from chiasm.bench.marks import Marks
from chiasm.bench.reading import found_file, made, sha256
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import needed, rows_of, words
from chiasm.citation import Citation
from chiasm.metrics.enzymes import EnzymeTerms, enzyme_scores, enzyme_terms, parse_enzymes
from chiasm.metrics.weighted import Floats

SOURCE = "https://github.com/Hoarfrost-Lab/BioTalk"
FILES = ("test1.csv", "test2.csv")
QUESTION = "Which enzyme does this gene code for? Answer with its EC number."
_SAID = re.compile(r"(?<![\d.])[1-7](?:\.(?:n?\d+|-)){1,3}(?![\d])|(?<=EC )[1-7](?![\d.])", re.IGNORECASE)


@dataclass(frozen=True)
class EnzymeFigure:
    """One of the scores of `enzyme_scores`: `level_1` to `level_4`, `precision`, `recall` or `f1`."""

    column: str
    label: str
    higher_is_better: bool | None = True

    @property
    def id(self) -> str:
        """Its name in tables."""
        return f"ec_{self.column}"

    def draws(self, marks: Marks, weights: NDArray[np.float64]) -> Floats:
        """Compute it under each weighting (R, N)."""
        return np.asarray(enzyme_scores(terms_of(marks), weights)[self.column], dtype=np.float64)

    def terms(self, marks: Marks) -> Floats | None:
        """Return what each item adds where the score is a mean: at a level."""
        if not self.column.startswith("level_"):
            return None
        return terms_of(marks).levels[:, int(self.column.removeprefix("level_")) - 1]

    def chance(self, items: Sequence[Item]) -> float:
        """Return NaN: an answer is not drawn from options."""
        return float("nan")


def terms_of(marks: Marks) -> EnzymeTerms:
    """Read the numbers that stand in the answers, and compare them with the true ones."""
    both = zip(marks.texts, marks.ways, strict=True)
    said = [";".join(_SAID.findall(text)) if way == "answered" else "" for text, way in both]
    return enzyme_terms([str(item.answer[0]) for item in marks.items], said)


def read_biotalk(folder: Path, number: int = 1) -> Items:
    """Read a test set: `AC`, `EC`, `Sequence`, and `OC` and `UniRef50` where they are there.

    Genes of one UniRef50 cluster are drawn together. Where `Train.parquet` or `Train.csv` lies beside, each item
    is told by whether its cluster is in training too, so that the score on new families can be read.
    """
    path = found_file(folder, FILES[number - 1], source=SOURCE)
    trained = next((folder / name for name in ("Train.parquet", "Train.csv") if (folder / name).is_file()), None)
    known = None if trained is None else {words(row, "UniRef50") for _, row in rows_of(trained)} - {""}

    def item(place: int, row: Mapping[str, Any]) -> Item:
        truth, cluster = needed(row, "EC"), words(row, "UniRef50")
        try:
            first = min(parse_enzymes(truth))[0]
        except ValueError:
            raise ValueError("'EC' is no number of the Enzyme Commission") from None
        tags = {"class": f"EC {first}", **({"kingdom": words(row, "OC")} if words(row, "OC") else {})}
        if known is not None:
            tags["family in training"] = "yes" if cluster in known else "no"
        return Item(
            f"{needed(row, 'AC')}/{place:06d}", QUESTION, (), (truth,), group=cluster, tags=tags,
            context=needed(row, "Sequence"),
        )  # fmt: skip

    found = made(path, rows_of(path), item)
    return found if trained is None else replace(found, files={**found.files, trained.name: sha256(trained)})


FIGURES = (
    EnzymeFigure("f1", "hierarchical F1"),
    EnzymeFigure("precision", "hierarchical precision"),
    EnzymeFigure("recall", "hierarchical recall"),
    *(EnzymeFigure(f"level_{level}", f"right to level {level}") for level in range(1, 5)),
)
BIOTALK = Questions(
    "biotalk",
    "BioTalk (test 1)",
    Citation(
        "A Benchmark Dataset for Multimodal Prediction of Enzymatic Function Coupling DNA Sequences and Natural "
        "Language",
        *("arXiv", 2024, "https://arxiv.org/abs/2407.15888"),
    ),
    files="test1.csv (AC, EC, OC, UniRef50, Sequence); Train.parquet of the same benchmark to tell new families",
    source=SOURCE,
    licence="not stated",
    setting="the gene's DNA as text, the answer as an EC number; genes of one UniRef50 cluster are drawn together",
    reader=read_biotalk,
    scored=FIGURES,
    primary=FIGURES[0].id,
)
