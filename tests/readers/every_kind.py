"""Every kind of source on disk, sound and broken: a cohort of them, for the tests that go from file to prediction.

The broken files are those of each reader's own test.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import ascii_lowercase
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("wfdb")
pytest.importorskip("anndata")
pytest.importorskip("rdkit")
pytest.importorskip("fhir.resources")
pytest.importorskip("meds")
pytest.importorskip("soundfile")
pytest.importorskip("av")

import test_audio
import test_bag
import test_dicom
import test_dicom_refused
import test_fhir
import test_image
import test_meds
import test_molecule
import test_sequence
import test_signal
import test_signal_refused
import test_singlecell
import test_slide
import test_text
import test_video
import test_volume
import test_ward_broken
import ward_files
from refusals import PERSON, written

import chiasm
from chiasm.encoders import catalogue
from chiasm.encoders.frozen import identity_of
from chiasm.tokens import Tokens

SOUND = 12
ENOUGH = 26  # for ten to train on in four fifths of each of two folds
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


def meds(path: Path, k: int, **columns: Any) -> object:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_meds.shard(
        path, **(columns or {"code": test_meds.pa.array(["GENDER//F", "MEDS_BIRTH", "HR", f"C{k % 3}"])})
    )


def fhir(path: Path, resources: Iterable[Any]) -> object:
    path.parent.mkdir(parents=True, exist_ok=True)
    return test_fhir.bundle(path, list(resources))


def molecule(k: int) -> str:
    return "C" * (k + 1) + "O"


LETTERS = [cell for name, (cell, _) in test_sequence.BROKEN.items() if name not in ("empty", "too long")]


@dataclass(frozen=True)
class Letters:
    """A text encoder without weights: how often each letter stands in the text."""

    id: ClassVar[str] = "letters"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4
    width: ClassVar[int] = 26
    slots: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Letters:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        counts = [[text.lower().count(letter) for letter in ascii_lowercase] for text in raw]
        return Tokens(torch.tensor(counts, dtype=torch.float32)[:, None], torch.ones((len(raw), 1), dtype=torch.bool))


LETTERS_ENTRY = catalogue.Entry("letters", ("text",), f"{__name__}:Letters", "26", "MIT", catalogue.NOTHING)


def png(path: Path, k: int) -> object:
    return written(path, test_image.png(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)))


def slide(path: Path, k: int) -> object:
    return written(path, test_slide.slide_of(test_slide.painted(600, 600, (0, 300 + 20 * k, 0, 600))))


def bundle(path: Path, k: int) -> object:
    return fhir(path, [test_fhir.patient(), test_fhir.heart_rate("o", "2020-01-01", 60 + k)])


def note(k: int) -> str:
    return f"Fever of {38 + k / 10} degrees."


def text(content: str | bytes) -> Write:
    return lambda path: written(path, content.encode() if isinstance(content, str) else content)


def spoilt_structure(spoil: Callable[[str], str]) -> Write:
    return lambda path: written(path, spoil(test_molecule.block(test_molecule.ALANINE)).encode())


def made_in(write: Write) -> Write:
    def made(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)

    return made


TILES = [text(whole) for whole, _ in cases(test_slide.test_what_shows_only_when_tiles_are_read)]
BUNDLES = [partial(fhir, resources=found) for found, _ in cases(test_fhir.test_bundles_that_are_refused)]
NO_BUNDLES = [text(content) for content, _ in cases(test_fhir.test_files_that_are_no_bundle)]
SHARDS = [partial(meds, k=0, **columns) for columns, _ in cases(test_meds.test_a_file_that_is_not_meds)]
LONG = "pain. " * 1_700_000
KINDS: dict[str, Kind] = {
    "image": Kind("image", "x/{id}.png", png, bytes_of(test_image.BROKEN)),
    "dicom": Kind("dicom", "x/{id}", dicom, bytes_of(test_dicom_refused.BROKEN)),
    "volume": Kind(
        "volume",
        "x/{id}.nii.gz",
        lambda path, k: written(path, test_volume.content(test_volume.VOXELS + k)),
        bytes_of(test_volume.BROKEN),
    ),
    "slide": Kind("slide", "x/{id}.svs", slide, [*bytes_of(test_slide.BROKEN), *TILES]),
    "bag": Kind(  # what only the values tell is an error of check_values
        "bag",
        "x/{id}.npy",
        lambda path, k: written(path, test_bag.npy(test_bag.TOKENS * k)),
        bytes_of(test_bag.BROKEN, "NaN", "beyond float32", "h5 bomb"),
    ),
    "ecg": Kind(
        "ecg",
        f"x/{{id}}/{test_signal.NAME}",
        record,
        [spoilt_record(spoil) for spoil, _ in test_signal_refused.BROKEN_RECORDS.values()],
    ),
    "signal": Kind(
        "signal", "x/{id}.edf", edf, [spoilt_edf(spoil) for spoil, _ in test_signal_refused.BROKEN_EDF.values()]
    ),
    "signal-table": Kind(
        "signal",
        "x/{id}.csv",
        lambda path, k: written(path, test_signal_refused.lines(300, row="{t:.3f}," + str(k) + ".{t:.0f}\n").encode()),
        [text(content) for content, _ in test_signal_refused.BROKEN_TABLES.values()],
    ),
    "ward-ecg": Kind(
        "ecg",
        "x/{id}.scp",
        lambda path, k: ward_files.scp(path, ward_files.stored(seed=k)[:2], ("I", "II")),
        [made_in(write) for write, _ in test_ward_broken.BROKEN.values()],
    ),
    "audio": Kind(
        "audio",
        "x/{id}.wav",
        lambda path, k: test_audio.stored(path, "WAV", test_audio.tone(200 + 50 * k)),
        [write for write, _ in test_audio.BROKEN.values()],
    ),
    "video": Kind(
        "video",
        "x/{id}.mp4",
        lambda path, k: test_video.film(path, [20 + 8 * k] * 30, codec="mpeg4"),
        [made_in(write) for write, _ in test_video.BROKEN.values()],
    ),
    "meds": Kind("events", "x/{id}.parquet", meds, SHARDS),
    "fhir": Kind("events", "x/{id}.json", bundle, BUNDLES + NO_BUNDLES),
    "note": Kind(
        "text",
        "x/{id}.txt",
        lambda path, k: written(path, note(k).encode()),
        [*bytes_of(test_text.BROKEN, "too long"), text(LONG)],
    ),
    "cell-note": Kind(
        "text",
        None,
        lambda _, k: note(k),
        [f"{PERSON}\0", "\x1b[31mred", "x" * 1_000_001, LONG, "a\x01", "\x7f", "b\x08", "\x0e"],
    ),
    "molecule": Kind(
        "molecule",
        None,
        lambda _, k: molecule(k),
        [cell for cell, _ in test_molecule.BROKEN_CELLS.values() if cell.strip()],
    ),
    "structure": Kind(
        "molecule",
        "x/{id}.mol",
        lambda path, k: written(path, test_molecule.block(molecule(k)).encode()),
        [spoilt_structure(spoil) for spoil, _ in test_molecule.BROKEN_FILES.values()],
    ),
    "protein": Kind("protein", None, lambda _, k: "MKVLWAAX" * (k + 1), [*LETTERS, "M" * 1_000_001]),
    "dna": Kind(
        "dna",
        "x/{id}.fa",
        lambda path, k: written(path, f">{PERSON}\n{'ACGTNRYK' * (k + 1)}\n".encode()),
        [*map(text, LETTERS), text(""), text("A" * 5_000_000)],
    ),
    "cells": Kind(
        "singlecell",
        "x/{id}.h5ad",
        cells,
        [made_in(spoil) for spoil, _ in test_singlecell.BROKEN.values()],
    ),
    "events": Kind(
        "events",
        None,
        lambda _, k: [(0, "HR", 60 + k), (k, "RR//bpm", "")],
        [
            [("x", "HR", 70)],
            [("", "HR", 70)],
            [("inf", "HR", 70)],
            [(0, "HR", 1), (1.7e9, "HR", 1)],
            [(0, "", 1)],
            [(0, "HR", PERSON)],
            [(0, "HR", 1e300)],
            [(0, "a" * 257, 1)],
            [(0, "MEDS_BIRTH", ""), (-1, "HR", 70)],
            [(0, "MEDS_BIRTH", ""), (1, "MEDS_BIRTH", "")],
        ],
    ),
}


@dataclass(frozen=True)
class Made:
    """A cohort on disk: the sound patients first, then a patient for each broken source."""

    manifest: Path
    ids: list[str]


def build(folder: Path, kinds: dict[str, Kind], most: int | None = None, sound: int = SOUND) -> Made:
    """Sound sources for the first patients; of every kind a broken one for each of the others, where it has so many."""
    chosen = {name: kind.broken[:most] for name, kind in kinds.items()}
    number = sound + max(map(len, chosen.values()))
    ids = [f"{PERSON}{k:03d}" for k in range(number)]
    patients = pd.DataFrame({"id": ids, "age": RNG.integers(30, 90, number), "score": RNG.normal(size=number)})
    sections = ['[modalities.age]\nkind = "table"\ncolumns = ["age"]\n']
    for name, kind in kinds.items():
        sources = [lambda path, k=k, kind=kind: kind.sound(path, k) for k in range(sound)] + chosen[name]
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
    head = '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "regression"\ncolumn = "score"\n'
    (folder / "cohort.toml").write_text(head + "".join(sections))
    return Made(folder / "cohort.toml", ids)


def said_properly(problems: Iterable[chiasm.Problem], folder: Path) -> int:
    """Every problem says what, where and what to do, and names nobody; how many sources they are about."""
    found = 0
    for problem in problems:
        assert problem.severity == "warning" and problem.row and problem.path and problem.modality and problem.fix
        assert problem.what.endswith(": taken as absent")
        assert not any(word in problem.what + problem.fix for word in (*PLANTED, str(folder))), problem
        many = MANY.search(problem.what)
        found += int(many.group(1).replace(",", "")) if many else 1
    return found
