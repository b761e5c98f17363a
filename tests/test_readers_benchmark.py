"""The comparison of the readers with the libraries of the field: a few files of each format, and that it can fail."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from reference_readers import readers  # first: it skips this module, or finds the benchmarks
from references import dicoms, molecules, pictures, recordings, records, volumes
from references.compared import DIFFERENT, EQUAL, REFUSED, Case, compare
from small_recipes import at_night

FAMILIES: dict[str, tuple[Callable[[Path], Iterator[Case]], int]] = {  # every so many of its cases
    "DICOM": (dicoms.written_cases, 9),
    "volumes": (lambda work: volumes.volume_cases([], work), 13),
    "pictures": (lambda work: pictures.picture_cases([], work), 61),
    "TIFF": (lambda work: pictures.tiff_cases([], work), 13),
    "EDF": (lambda work: recordings.edf_cases([], work), 9),
    "WFDB": (lambda work: recordings.wfdb_cases([], work), 9),
    "cells": (lambda work: records.cell_cases([], work), 11),
    "MEDS": (records.meds_cases, 7),
    "FHIR": (records.fhir_cases, 9),
    "bags": (records.bag_cases, 7),
}


# by day cells are compared in test_singlecell.py
@pytest.mark.parametrize("family", [*(name for name in FAMILIES if name != "cells"), *at_night("cells")])
def test_what_a_library_wrote_is_read_as_it_reads_it(family: str, tmp_path: Path) -> None:
    made, every = FAMILIES[family]
    found = [compare(case) for case in islice(made(tmp_path), 0, None, every)]
    assert len(found) >= 5
    assert [(row.name, row.result, row.why) for row in found if row.result != EQUAL] == []


def test_molecules_of_rdkits_files(tmp_path: Path) -> None:
    folder = readers.package("rdkit")
    assert folder is not None
    if not (folder / "Data" / "NCI").is_dir():
        pytest.skip("this build of RDKit carries no data")
    found = [compare(case) for case in islice(molecules.molecule_cases(folder, tmp_path), 0, 400, 20)]
    assert {row.result for row in found} == {EQUAL}


def test_what_differs_is_found_and_what_is_refused_has_its_reason(tmp_path: Path) -> None:
    case = next(records.bag_cases(tmp_path))
    moved = replace(case, reference=lambda: {"": np.load(case.item) + 1e-6})
    assert (compare(case).result, compare(moved).result, compare(moved).why) == (EQUAL, DIFFERENT, "")
    assert compare(replace(moved, tolerance=1e-5)).result == EQUAL
    assert compare(replace(case, reference=lambda: {"": np.load(case.item)[:-1]})).result == DIFFERENT
    assert compare(replace(case, reference=lambda: 1 / 0)).why.endswith("ZeroDivisionError")
    case.item.write_bytes(b"nothing")
    refused = compare(case)
    assert refused.result == REFUSED and refused.readable is False and "neither .npy" in refused.why


def test_the_lines_make_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "cases", lambda work, sdists: islice(records.bag_cases(work), 3))
    readers.run([], None, tmp_path)
    head, *lines = map(json.loads, (tmp_path / "bags.jsonl").read_text().splitlines())
    assert len(lines) == 3 and head["versions"].keys() == {"numpy", "h5py", "safetensors"}
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- readers: begin -->\nold\n<!-- readers: end -->\nafter\n")
    assert "| 3 | 3 | 0 | 0 |" in readers.table(tmp_path, page)
    assert page.read_text().startswith("before\n") and page.read_text().endswith("<!-- readers: end -->\nafter\n")
    assert "old" not in page.read_text()


def test_no_line_that_is_kept_tells_a_difference_or_a_place_of_a_machine() -> None:
    files = list(readers.RESULTS.glob("*.jsonl"))
    assert len(files) == len(readers.LIBRARIES)
    for file in files:
        text = file.read_text()
        assert f'"{DIFFERENT}"' not in text
        assert "site-packages" not in text and "/tmp/" not in text


def test_the_page_is_what_the_lines_say(tmp_path: Path) -> None:
    copy = tmp_path / "data.md"
    shutil.copy(readers.PAGE, copy)
    readers.table(readers.RESULTS, copy)
    assert copy.read_text(encoding="utf-8") == readers.PAGE.read_text(encoding="utf-8")
