"""Every kind of source from the file to the prediction: what is broken is named and counts as absent, the rest goes on.

The broken files are those of each reader's own test.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("wfdb")
pytest.importorskip("anndata")
pytest.importorskip("rdkit")
pytest.importorskip("fhir.resources")
pytest.importorskip("meds")

import test_bag
import test_dicom
import test_fhir
import test_image
import test_meds
import test_molecule
import test_sequence
import test_signal
import test_singlecell
import test_slide
import test_text
import test_volume
from refusals import PERSON, bounded, written

import chiasm

SOUND = 12
PLANTED = (PERSON, test_signal.NAME, test_fhir.SECRET)
RNG = np.random.default_rng(0)
MANY = re.compile(r" in ([\d,]+) (?:source|file)s? \(")
EVENTS = ["id", "hours", "code", "numeric_value"]
Write = Callable[[Path], object]


def cases(test: Any) -> list[tuple[Any, str]]:
    """What a test of another file is parametrized by."""
    return list(test.pytestmark[0].args[1])


def bytes_of(found: dict[str, tuple[bytes, str]], *without: str) -> list[Write]:
    return [lambda path, b=content: written(path, b) for name, (content, _) in found.items() if name not in without]


@dataclass(frozen=True)
class Kind:
    """A modality: its kind, the sound source of patient k, and broken ones. `path` None: cells of a table."""

    kind: str
    path: str | None
    sound: Callable[[Any, int], object]
    broken: list[Any]


def dicom(path: Path, k: int) -> object:
    return test_dicom.save(path, PixelData=(test_dicom.stored(k) % 900).tobytes())


def record(path: Path, k: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_signal.write_wfdb(path.parent, test_signal.waves(2, 1000, 500) * (1 + k / 9), ["I", "II"])


def spoilt_record(spoil: Callable[[Path], object]) -> Write:
    return lambda path: spoil(record(path, 0))


def edf(path: Path, k: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_signal.write_edf(path, [test_signal.waves(1, 500, 250)[:, 0] * (5 + k)], ["II"], [250])


def spoilt_edf(spoil: Callable[[bytes], bytes]) -> Write:
    return lambda path: path.write_bytes(spoil(edf(path, 0).read_bytes()))


def cells(path: Path, k: int) -> object:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_singlecell.write(path, np.random.default_rng(k).poisson(0.9, (12, 7)).astype(np.float32))


def spoilt_cells(spoil: Callable[[Path], object]) -> Write:
    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        spoil(path)

    return write


def meds(path: Path, k: int, **columns: Any) -> object:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_meds.shard(path, **(columns or {"code": test_meds.pa.array(["GENDER//F", "MEDS_BIRTH", "HR", f"C{k % 3}"])}))


def fhir(path: Path, resources: Iterable[Any]) -> object:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_fhir.bundle(path, list(resources))


def molecule(k: int) -> str:
    return "C" * (k + 1) + "O"


LETTERS = {name: text for name, (text, _) in test_sequence.BROKEN.items() if name not in ("empty", "too long")}
KINDS: dict[str, Kind] = {
    "image": Kind("image", "x/{id}.png", lambda path, k: written(path, test_image.png(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8))),
                  bytes_of(test_image.BROKEN)),
    "dicom": Kind("dicom", "x/{id}", dicom, bytes_of(test_dicom.BROKEN)),
    "volume": Kind("volume", "x/{id}.nii.gz", lambda path, k: written(path, test_volume.content(test_volume.VOXELS + k)),
                   bytes_of(test_volume.BROKEN)),
    "slide": Kind("slide", "x/{id}.svs", lambda path, k: written(path, test_slide.slide_of(test_slide.painted(600, 600, (0, 300 + 20 * k, 0, 600)))),
                  [*bytes_of(test_slide.BROKEN), *[lambda path, b=whole: written(path, b) for whole, _ in
                   cases(test_slide.test_what_shows_only_when_tiles_are_read)]]),
    "bag": Kind("bag", "x/{id}.npy", lambda path, k: written(path, test_bag.npy(test_bag.TOKENS * k)),
                bytes_of(test_bag.BROKEN, "NaN", "beyond float32", "h5 over the limit", "h5 bomb", "npy over the limit")),
    "ecg": Kind("ecg", f"x/{{id}}/{test_signal.NAME}", record,
                [spoilt_record(spoil) for spoil, _ in test_signal.BROKEN_RECORDS.values()]),
    "signal": Kind("signal", "x/{id}.edf", edf, [spoilt_edf(spoil) for spoil, _ in test_signal.BROKEN_EDF.values()]),
    "signal-table": Kind("signal", "x/{id}.csv", lambda path, k: written(path, test_signal.lines(300, row="{t:.3f},%d.{t:.0f}\n" % k).encode()),
                         [lambda path, c=content: written(path, c if isinstance(c, bytes) else c.encode())
                          for content, _ in test_signal.BROKEN_TABLES.values()]),
    "meds": Kind("events", "x/{id}.parquet", meds,
                 [lambda path, c=columns: meds(path, 0, **c) for columns, _ in cases(test_meds.test_a_file_that_is_not_meds)]),
    "fhir": Kind("events", "x/{id}.json", lambda path, k: fhir(path, [test_fhir.patient(), test_fhir.heart_rate("o", "2020-01-01", 60 + k)]),
                 [*[lambda path, r=resources: fhir(path, r) for resources, _ in cases(test_fhir.test_bundles_that_are_refused)],
                  *[lambda path, c=content: written(path, c) for content, _ in cases(test_fhir.test_files_that_are_no_bundle)]]),
    "note": Kind("text", "x/{id}.txt", lambda path, k: written(path, f"Fever of {38 + k / 10} degrees.".encode()),
                 [*bytes_of(test_text.BROKEN, "too long"), lambda path: written(path, b"pain. " * 1_700_000)]),
    "cell-note": Kind("text", None, lambda _, k: f"Fever of {38 + k / 10} degrees.",
                      [f"{PERSON}\0", "\x1b[31mred", "x" * 1_000_001, "pain. " * 1_700_000, "a\x01", "\x7f", "b\x08", "\x0e"]),
    "molecule": Kind("molecule", None, lambda _, k: molecule(k),
                     [text for name, (text, _) in test_molecule.BROKEN_CELLS.items() if text.strip()]),
    "structure": Kind("molecule", "x/{id}.mol", lambda path, k: written(path, test_molecule.block(molecule(k)).encode()),
                      [lambda path, s=spoil: written(path, s(test_molecule.block(test_molecule.ALANINE)).encode())
                       for spoil, _ in test_molecule.BROKEN_FILES.values()]),
    "protein": Kind("protein", None, lambda _, k: "MKVLWAAX" * (k + 1), [*LETTERS.values(), "M" * 1_000_001]),
    "dna": Kind("dna", "x/{id}.fa", lambda path, k: written(path, f">{PERSON}\n{'ACGTNRYK' * (k + 1)}\n".encode()),
                [*[lambda path, t=text: written(path, t.encode()) for text in LETTERS.values()],
                 lambda path: written(path, b""), lambda path: written(path, b"A" * 5_000_000)]),
    "cells": Kind("singlecell", "x/{id}.h5ad", cells, [spoilt_cells(spoil) for spoil, _ in test_singlecell.BROKEN.values()]),
    "events": Kind("events", None, lambda _, k: [(0, "HR", 60 + k), (k, "RR//bpm", "")],
                   [[("x", "HR", 70)], [("", "HR", 70)], [("inf", "HR", 70)], [(0, "HR", 1), (1.7e9, "HR", 1)],
                    [(0, "", 1)], [(0, "HR", PERSON)], [(0, "HR", 1e300)], [(0, "a" * 257, 1)],
                    [(0, "MEDS_BIRTH", ""), (-1, "HR", 70)], [(0, "MEDS_BIRTH", ""), (1, "MEDS_BIRTH", "")]]),
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A cohort on disk: the sound patients first, then a patient for each broken source."""

    manifest: Path
    ids: list[str]

    @property
    def sound(self) -> np.ndarray:
        return np.arange(len(self.ids)) < SOUND


def build(folder: Path, kinds: dict[str, Kind], most: int | None = None) -> Made:
    """Sound sources for the first patients; of every kind a broken one for each of the others, where it has so many."""
    chosen = {name: kind.broken[:most] for name, kind in kinds.items()}
    number = SOUND + max(map(len, chosen.values()))
    ids = [f"{PERSON}{k:03d}" for k in range(number)]
    patients = pd.DataFrame({"id": ids, "age": RNG.integers(30, 90, number), "label": np.arange(number) % 2})
    sections = ['[modalities.age]\nkind = "table"\ncolumns = ["age"]\n']
    for name, kind in kinds.items():
        sources = [lambda path, k=k, kind=kind: kind.sound(path, k) for k in range(SOUND)] + chosen[name]
        if kind.path is not None:
            where = kind.path.replace("x/", f"{name}/")
            (folder / name).mkdir(parents=True)
            for patient, write in zip(ids, sources, strict=False):
                write(folder / where.replace("{id}", patient))
            place = f"path = {json.dumps(where)}"
        elif kind.kind == "events":
            values = [source(None) if callable(source) else source for source in sources]
            rows = [(patient, *event) for patient, own in zip(ids, values, strict=False) for event in own]
            pd.DataFrame(rows, columns=EVENTS).to_csv(folder / f"{name}.csv", index=False)
            place = f'table = "{name}.csv"'
        else:
            texts = [source(None) if callable(source) else source for source in sources]
            pd.DataFrame({"id": ids[: len(texts)], "cell": texts}).to_parquet(folder / f"{name}.parquet", index=False)
            place = f'table = "{name}.parquet"\ncolumn = "cell"'
        sections.append(f'[modalities.{name}]\nkind = "{kind.kind}"\n{place}\n')
    patients.to_csv(folder / "patients.csv", index=False)
    head = '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "label"\n'
    (folder / "cohort.toml").write_text(head + "".join(sections))
    return Made(folder / "cohort.toml", ids)


def said_properly(problems: Iterable[chiasm.Problem], folder: Path) -> int:
    """Every problem says what, where and what to do, and names nobody; how many sources they are about."""
    found = 0
    for problem in problems:
        assert problem.severity == "warning" and problem.row and problem.path and problem.modality and problem.fix
        assert problem.what.endswith(": taken as absent")
        assert not any(word in f"{problem}" for word in (*PLANTED, str(folder))), problem
        many = MANY.search(problem.what)
        found += int(many.group(1).replace(",", "")) if many else 1
    return found


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "store"))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_broken_is_named_and_absent_and_the_rest_is_encoded(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    assert len(kind.broken) >= 8
    made = build(tmp_path, {name: kind})
    began = time.perf_counter()
    with bounded(150):
        problems = [problem for problem in chiasm.check_cohort(made.manifest) if problem.modality == name]
        cohort = chiasm.open_cohort(made.manifest)
        encoded = chiasm.encode(cohort, jobs=1)
    assert time.perf_counter() - began < 30
    seen = [problem for problem in problems if "taken as absent" in problem.what]
    assert 0 <= said_properly(seen, tmp_path) <= len(kind.broken)
    assert said_properly(encoded.problems, tmp_path) == len(kind.broken)
    column = cohort.modalities.index(name)
    assert encoded.cohort.present[:, column].tolist() == made.sound.tolist()
    assert encoded.cohort.present[:, cohort.modalities.index("age")].all()
    again = chiasm.encode(chiasm.open_cohort(made.manifest), jobs=1)
    assert again.problems == encoded.problems
    assert all(count.encoded == 0 for count in again.counts.values())
    assert capfd.readouterr() == ("", ""), "nothing is said but by the problems"
