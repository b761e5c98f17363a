"""Single cells: the counts of an H5AD file, and what is refused."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from chiasm.readers import Limits, ReadError, reader_for
from chiasm.readers.sequence.singlecell import CellReader
from examples import examples

anndata = pytest.importorskip("anndata")
h5py = pytest.importorskip("h5py")

NAME = "Jane_Roe_1957"
COUNTS = np.random.default_rng(0).poisson(0.7, (12, 7)).astype(np.float32)


def write(path: Path, values: Any = COUNTS, genes: list[str] | None = None, **more: Any) -> Path:
    rows, columns = values.shape
    names = genes or [f"G{k}" for k in range(columns)]
    obs = pd.DataFrame({"donor": pd.Categorical([NAME] * rows)}, index=[f"{NAME}_{k}" for k in range(rows)])
    var = pd.DataFrame(index=pd.Index(names))
    anndata.AnnData(values, obs=obs, var=var, **more).write_h5ad(path)
    return path


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
def test_dense_and_sparse_files_give_the_counts(tmp_path: Path, form: Callable[[Any], Any]) -> None:
    for kind in (np.float32, np.int64):
        cells = CellReader().read(write(tmp_path / "x.h5ad", form(COUNTS.astype(kind))))
        assert cells.values.dtype == np.float32 and cells.genes == tuple(f"G{k}" for k in range(7))
        np.testing.assert_array_equal(cells.values, COUNTS)
    assert CellReader().inspect(tmp_path / "x.h5ad") == ()
    assert isinstance(reader_for("singlecell"), CellReader)


def test_x_alone_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5ad", layers={"scaled": COUNTS * -1.5})
    np.testing.assert_array_equal(CellReader().read(path).values, COUNTS)
    assert CellReader().inspect(path) == ("the file holds layers; X alone is read",)


def spoilt(act: Callable[[Any], None], values: Any = None) -> Callable[[Path], None]:
    """A file that anndata wrote and `act` changed."""

    def make(path: Path) -> None:
        write(path, sparse.csr_matrix(COUNTS) if values is None else values)
        with h5py.File(path, "r+") as file:
            act(file)

    return make


def replaced(name: str, **made: Any) -> Callable[[Any], None]:
    def act(file: Any) -> None:
        kept = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, **made).attrs.update(kept)

    return act


def outside(name: str) -> Callable[[Any], None]:
    def act(file: Any) -> None:
        del file[name]
        file[name] = h5py.ExternalLink(f"{NAME}.h5", "/X")

    return act


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(12, 7), dtype="f4")
    layout[:] = h5py.VirtualSource(f"{NAME}.h5", "X", shape=(12, 7))
    del file["X"]
    file.create_virtual_dataset("X", layout)


def stored_elsewhere(file: Any) -> None:
    del file["X"]
    file.create_dataset("X", shape=(12, 7), dtype="f4", external=[(f"{NAME}.raw", 0, 12 * 7 * 4)])


def cyclic(file: Any) -> None:
    file["X/again"] = file["X"]


BROKEN = {
    "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 20), "not HDF5"),
    "truncated": (lambda path: path.write_bytes(write(path).read_bytes()[:3000]), "not HDF5"),
    "empty": (lambda path: path.write_bytes(b""), "file is empty"),
    "no X": (spoilt(lambda file: file.__delitem__("X")), "no 'X'"),
    "no var": (spoilt(lambda file: file.__delitem__("var")), "no 'var'"),
    "a link to another file": (spoilt(outside("X")), "links to another"),
    "a link below": (spoilt(outside("X/data")), "links to another"),
    "a link to the names": (spoilt(outside("var/_index")), "links to another"),
    "a virtual dataset": (spoilt(virtual), "in another one"),
    "data in a raw file": (spoilt(stored_elsewhere), "in another one"),
    "a group within itself": (spoilt(cyclic), "nested deeper"),
    "an index out of range": (
        spoilt(lambda file: file["X/indices"].__setitem__(0, 10_000_000)),
        "not HDF5, or is damaged",
    ),
    "a negative index": (spoilt(lambda file: file["X/indices"].__setitem__(0, -5)), "not HDF5, or is damaged"),
    "pointers that lie": (spoilt(lambda file: file["X/indptr"].__setitem__(3, 10_000)), "not HDF5, or is damaged"),
    "a bomb of a shape": (spoilt(lambda file: file["X"].attrs.__setitem__("shape", [2**31, 2**31])), "over the limit"),
    "a shape that overflows": (spoilt(lambda file: file["X"].attrs.__setitem__("shape", [2**62, 4])), "over the limit"),
    "a bomb of zeros": (
        spoilt(replaced("X/data", shape=(2**36,), dtype="f4", chunks=(1024,))),
        "announces more than",
    ),
    "a vector": (spoilt(replaced("X", data=np.zeros(5)), COUNTS), "not a matrix"),
    "text": (spoilt(replaced("X", data=np.full((12, 7), b"x", dtype="S3")), COUNTS), "numbers|damaged|kind"),
    "fewer genes": (spoilt(replaced("var/_index", data=["a", "b"])), "other columns"),
    "genes twice": (spoilt(replaced("var/_index", data=["a", "b"] * 3 + ["c"])), "4 genes by a name"),
    "a table of old": (spoilt(replaced("var", data=np.zeros(7, dtype=[("index", "S3")]))), "old anndata"),
    "no cells": (lambda path: write(path, COUNTS[:0]), "announces nothing"),
    "negative": (lambda path: write(path, COUNTS - 1), "negative or not finite"),
    "not finite": (lambda path: write(path, np.where(COUNTS == 0, np.nan, COUNTS)), "negative or not finite"),
    "logarithms": (lambda path: write(path, np.log1p(COUNTS)), "does not hold counts"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_files_are_refused(tmp_path: Path, broken: str) -> None:
    make, what = BROKEN[broken]
    path = tmp_path / f"{NAME}.h5ad"
    make(path)
    tracemalloc.start()
    with pytest.raises(ReadError, match=what) as caught:
        CellReader().read(path)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
    error = caught.value
    assert NAME not in str(error) and str(tmp_path) not in str(error)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


def test_limits_and_other_items(tmp_path: Path) -> None:
    path = write(tmp_path / "x.h5ad")
    for limits, what in ((Limits(values=83), "announces 84 values"), (Limits(bytes=100), "GB, over")):
        for act in (CellReader().read, CellReader().inspect):
            with pytest.raises(ReadError, match=what):
                act(path, limits)
    for item in (tmp_path, tmp_path / "nowhere.h5ad", tmp_path / "x.csv", "counts"):
        with pytest.raises(ReadError, match="H5AD"):
            CellReader().read(item)


@given(data=st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_other_error_escapes(tmp_path: Path, data: st.DataObject) -> None:
    path, whole = tmp_path / "x.h5ad", tmp_path / "whole.h5ad"
    if not whole.exists():
        write(whole, sparse.csr_matrix(COUNTS))
    content = bytearray(whole.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content[: place if data.draw(st.booleans()) else None]))
    try:
        assert np.isfinite(CellReader().read(path).values).all()
    except ReadError as error:
        assert str(tmp_path) not in str(error) and NAME not in str(error)
