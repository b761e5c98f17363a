"""Bags of many values are read by parts, with the numbers of the whole, and below a gigabyte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import chiasm
from chiasm import room
from chiasm.cohort import Bags
from chiasm.cohort.bag_files import read_bag
from chiasm.encoders.bag import BagEncoder
from chiasm.errors import CohortError
from fresh_process import peak_megabytes

h5py = pytest.importorskip("h5py")
TOKENS = np.random.default_rng(0).normal(size=(301, 7))
MOST_MEGABYTES = 1000


def numpy_file(kind: str, order: str = "C") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / "x.npy", np.asarray(9 * TOKENS, dtype=kind, order=order))  # type: ignore[call-overload]
        return folder / "x.npy"

    return write


def tensor_file(kind: torch.dtype) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        save_file({"features": torch.from_numpy(TOKENS).to(kind)}, folder / "x.safetensors")
        return folder / "x.safetensors"

    return write


def hdf5_file(**options: object) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with h5py.File(folder / "x.h5", "w") as file:
            file.create_dataset("features", data=TOKENS.astype(np.float16), **options)
        return folder / "x.h5"

    return write


WAYS = {
    "float32": numpy_file("f4"),
    "float16": numpy_file("f2"),
    "big-endian": numpy_file(">f8"),
    "integers": numpy_file("i2"),
    "by columns": numpy_file("f8", "F"),
    "bfloat16": tensor_file(torch.bfloat16),
    "HDF5": hdf5_file(),
    "HDF5 in chunks": hdf5_file(chunks=(20, 3), compression="gzip"),
}


def lower(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_HELD", 100)
    monkeypatch.setattr(room, "PART", 70)


@pytest.mark.parametrize("name", WAYS)
def test_parts_are_the_whole(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = WAYS[name](tmp_path)
    whole = read_bag(path)
    encoder = BagEncoder(7)
    features = encoder.features([np.ascontiguousarray(whole)])
    lower(monkeypatch)
    found = read_bag(path)
    assert isinstance(found.base, room._Room) and not isinstance(whole.base, room._Room)
    assert found.dtype == np.float32 and np.array_equal(found, whole)
    assert np.array_equal(chiasm.readers.reader_for("bag").read(path), whole)
    assert np.array_equal(encoder.features([found]), features)
    right = np.ascontiguousarray(whole).astype(np.float64).mean(axis=0)
    assert np.array_equal(room.column_means(found, np.float64), right)


def folder_of(tmp_path: Path, spoil: Callable[[Path], None]) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "bags").mkdir()
    for number in range(24):
        np.save(tmp_path / f"bags/p{number}.npy", rng.normal(size=(5, 8)).astype(np.float32))
    spoil(tmp_path / "bags")
    frame = pd.DataFrame({"id": [f"p{number}" for number in range(24)], "y": [0, 1] * 12})
    frame.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        'name = "x"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.slides]\nkind = "bag"\npath = "bags/{id}.npy"\n'
    )
    return tmp_path / "cohort.toml"


@pytest.mark.skipif(os.name != "posix", reason="pipes are of POSIX")
def test_a_pipe_and_a_folder_in_place_of_a_bag_are_named_and_absent(tmp_path: Path) -> None:
    def spoil(bags: Path) -> None:
        for number in (3, 4, 9):
            (bags / f"p{number}.npy").unlink()
        os.mkfifo(bags / "p3.npy")
        os.mkfifo(bags / "p9.npy")
        (bags / "p4.npy").mkdir()

    manifest = folder_of(tmp_path, spoil)
    problems = chiasm.check_cohort(manifest)
    assert [(own.severity, own.row, own.modality, own.finding) for own in problems][:2] == [
        ("warning", 5, "slides", "broken-file"), ("warning", 6, "slides", "broken-file"),
    ]  # fmt: skip
    assert [own.what for own in problems][:2] == [
        "a pipe, a device or a socket in place of 2 files (rows 5, 11): taken as absent",
        "a folder in place of 1 file (row 6): taken as absent",
    ]
    cohort = chiasm.open_cohort(manifest)
    assert cohort.ids[~cohort.present[:, 0]].tolist() == ["p3", "p4", "p9"]
    assert len(cohort.raw("slides")) == 21 and not any(own.severity == "error" for own in problems)


def test_an_image_and_a_record_are_no_pipe_either(tmp_path: Path) -> None:
    from chiasm.cohort.places import find_files

    names, rows = np.array(["a", "b", "c"]), np.array([2, 3, 4])
    (tmp_path / "a.dcm").mkdir()
    (tmp_path / "b.dcm").write_bytes(b"x")
    os.mkfifo(tmp_path / "c.dcm")
    paths, found, (problem,) = find_files(tmp_path.resolve(), "{id}.dcm", names, rows, "scan", "dicom")
    assert [path.name for path in paths] == ["a.dcm", "b.dcm"] and found.tolist() == [0, 1, -1]
    assert "a pipe" in problem.what and problem.row == 4


def test_values_that_are_not_finite_are_found_by_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower(monkeypatch)
    wrong = TOKENS.copy()
    wrong[300, 6] = np.nan
    manifest = folder_of(tmp_path, lambda bags: np.save(bags / "p5.npy", wrong[:, :7]))
    found = [own for own in chiasm.check_cohort(manifest) if own.finding == "not-finite"]
    assert [own.row for own in found] == [7]


def test_a_bag_over_the_limit_says_how_many_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.cohort.bags.MOST_VALUES", 2_000)
    with pytest.raises(CohortError, match=r"2,107 values, over the limit of 2,000; .*keep fewer tokens"):
        Bags([TOKENS]).shape(0)


@pytest.mark.nightly
@pytest.mark.parametrize("suffix", ["npy", "safetensors"])
def test_half_a_billion_values_take_less_than_a_gigabyte(suffix: str, tmp_path: Path) -> None:
    tokens = np.tile(np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float16), (490, 1))
    if suffix == "npy":
        np.save(tmp_path / "x.npy", tokens)
    else:
        save_file({"features": torch.from_numpy(tokens)}, tmp_path / "x.safetensors")
    lines = (
        "import sys",
        "from pathlib import Path",
        "from chiasm.cohort import Bags",
        "from chiasm.encoders.bag import BagEncoder",
        "from chiasm.readers import reader_for",
        "assert reader_for('bag').read(Path(sys.argv[1])).shape == (490_000, 1000)",
        "BagEncoder(1000).features(Bags([Path(sys.argv[1])]))",
    )
    assert peak_megabytes(lines, str(tmp_path / f"x.{suffix}")) < MOST_MEGABYTES
