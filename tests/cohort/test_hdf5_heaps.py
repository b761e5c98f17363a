"""A heap of HDF5 that does not advance is told before the library goes round in it for ever."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from chiasm.cohort import hdf5_heaps
from chiasm.cohort.hdf5_heaps import HEAP, NAMES, has_damaged_heap
from chiasm.readers import ReadError, reader_for

h5py = pytest.importorskip("h5py")
anndata = pytest.importorskip("anndata")


def spoilt(path: Path, number: int, size: int) -> Path:
    """A part of this number in the first heap that has one, said to be of another size."""
    content = bytearray(path.read_bytes())
    heap = content.find(HEAP)
    place = heap + 16
    while struct.unpack_from("<H", content, place)[0] != number:
        (own,) = struct.unpack_from("<Q", content, place + 8)
        place += 16 + (own + 7) // 8 * 8
    content[place + 8 : place + 16] = struct.pack("<Q", size)
    path.write_bytes(content)
    return path


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["names"] = np.array([f"a name of some length {k}" for k in range(500)], dtype=h5py.string_dtype())
        for k in range(4):
            file[f"long{k}"] = np.array(["a" * 5000] * 2, dtype=h5py.string_dtype())
    return tmp_path / "x.h5"


@pytest.mark.parametrize("block", [16, 4097, 1 << 22])
def test_a_sound_heap_is_sound_wherever_it_is_cut(texts: Path, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5_heaps, "BLOCK", block)
    assert texts.read_bytes().count(HEAP) > 3 and not has_damaged_heap(texts)
    assert has_damaged_heap(spoilt(texts, 0, 0))


@pytest.mark.parametrize("number, size", [(0, 0), (0, 1 << 40), (1, (1 << 64) - 16), (1, (1 << 64) - 48), (1, 1 << 20)])
def test_a_heap_that_does_not_advance_or_leads_out_is_damaged(texts: Path, number: int, size: int) -> None:
    assert has_damaged_heap(spoilt(texts, number, size))


def test_what_is_no_hdf5_has_no_heap_and_lengths_are_the_usual_ones(texts: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"text")
    assert not has_damaged_heap(tmp_path / "x")
    content = bytearray(texts.read_bytes())
    content[14 if content[8] < 2 else 10] = 4
    texts.write_bytes(content)
    assert has_damaged_heap(texts)
    with h5py.File(tmp_path / "user.h5", "w", userblock_size=2048) as file:
        file["x"] = np.ones(3)
    assert not has_damaged_heap(tmp_path / "user.h5")


def test_cells_in_such_a_file_are_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    anndata.AnnData(np.ones((5, 4), np.float32)).write_h5ad(path)
    reader = reader_for("singlecell")
    assert reader.read(path).values.shape == (5, 4)
    for act in (reader.inspect, reader.read):
        with pytest.raises(ReadError, match="damaged"):
            act(spoilt(path, 0, 0))


def test_free_parts_of_names_in_a_circle_are_damaged(tmp_path: Path) -> None:
    """The library follows them for ever, and takes memory for each."""
    path = tmp_path / "x.h5ad"
    anndata.AnnData(np.ones((5, 4), np.float32)).write_h5ad(path)
    content = bytearray(path.read_bytes())
    heap = content.find(NAMES)
    size, free, address = struct.unpack_from("<QQQ", content, heap + 8)
    assert free < size and not has_damaged_heap(path)
    content[address + free : address + free + 8] = struct.pack("<Q", free)
    path.write_bytes(content)
    assert has_damaged_heap(path)
    with pytest.raises(ReadError, match="damaged"):
        reader_for("singlecell").inspect(path)
