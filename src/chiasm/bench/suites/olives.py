"""OLIVES: is each biomarker there in an OCT scan, asked of the labelled scans of two trials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.bench.averages import Balanced, MeanOver
from chiasm.bench.figures import ACCURACY
from chiasm.bench.item import Item, Items
from chiasm.bench.reading import found_file, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import YES_NO, needed, picture, rows_of, words
from chiasm.citation import Citation

SOURCE = "https://github.com/olivesgatech/OLIVES_Dataset"
FILES = ("trex_prime_combined_patient_format_fixed.csv", "biomarker_attributes_patient_added.csv")
PATH, PERSON = "Path (Trial/Folder/Week/Eye/Image Name)", "Patient_ID"
CLINICAL = ("Diabetes_Type", "BCVA", "DRSS", "CST", "Leakage_Index", "Eye_ID", PERSON)
TRIALS = {"prime": "PRIME (diabetic retinopathy)", "trex": "TREX-DME (macular oedema)"}
SHARP, THICK = 70.0, 300.0
"""Letters read of an ETDRS chart, and micrometres of the central subfield, at which scans are told apart as strata."""


def read_olives(folder: Path) -> Items:
    """Read the table of biomarkers of both trials, or of PRIME: a scan a row, its path, biomarkers, clinical labels.

    Each biomarker of each scan is an item; a cell that is neither 0 nor 1 is left out and counted. Scans of a person
    are drawn together. BCVA and CST, which are measured at the visit, tell strata.
    """
    return _table(folder, found_file(folder, *FILES, source=SOURCE))


def _table(folder: Path, path: Path) -> Items:
    def rows() -> Iterator[tuple[int, tuple[str, dict[str, Any]]]]:
        for number, row in rows_of(path):
            names = [
                name
                for name in row
                if name != PATH and not name.startswith(("Scan", "Unnamed")) and name not in CLINICAL
            ]
            for name in names or [""]:
                yield number, (name, row)

    def item(number: int, entry: tuple[str, dict[str, Any]]) -> Item:
        name, row = entry
        scan, value = needed(row, PATH), words(row, name)
        if value not in ("0", "1", "0.0", "1.0"):
            raise ValueError("a biomarker is neither 0 nor 1")
        trial = next((told for key, told in TRIALS.items() if key in scan.casefold()), "")
        tags = {"biomarker": name, **({"trial": trial} if trial else {}), **_clinical(row)}
        return Item(
            f"{path.stem}/{number:05d}/{name}", f"Does this OCT scan of the retina show: {name}?", YES_NO,
            (YES_NO.index("Yes" if value.startswith("1") else "No"),), group=f"person {needed(row, PERSON)}", tags=tags,
            attachments=picture(folder, scan),
        )  # fmt: skip

    return made(path, rows(), item)


def _clinical(row: dict[str, Any]) -> dict[str, str]:
    """Strata by the clinical labels that are there."""
    found = {}
    for name, limit, above, below in (
        ("BCVA", SHARP, f"{SHARP:g} letters or more", f"under {SHARP:g} letters"),
        ("CST", THICK, f"{THICK:g} um or more", f"under {THICK:g} um"),
    ):
        try:
            found[name] = above if float(words(row, name)) >= limit else below
        except ValueError:
            continue
    return found


OLIVES = Questions(
    "olives",
    "OLIVES, biomarkers in OCT scans",
    Citation(
        "OLIVES Dataset: Ophthalmic Labels for Investigating Visual Eye Semantics",
        *("NeurIPS", 2022, "https://arxiv.org/abs/2209.11195"),
    ),
    files=f"{FILES[0]} or {FILES[1]}; the scans by their path",
    source=SOURCE,
    licence="MIT by the repository; CC BY 4.0 of the images",
    setting="yes or no for each biomarker of each labelled scan; biomarkers weigh alike, and so do yes and no",
    reader=read_olives,
    scored=(
        MeanOver("biomarker", Balanced(), "biomarker_balanced", "balanced accuracy, mean of the biomarkers"),
        ACCURACY,
    ),
    primary="biomarker_balanced",
)
