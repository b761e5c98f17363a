"""Bags: the matrix in the file, and nothing that runs, links out or bursts."""

from __future__ import annotations

import ast
import io
import json
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import PERSON, damage, refused, survives, written

from chiasm.cohort.bag_files import BAG_SUFFIXES
from chiasm.cohort.bags import Bags
from chiasm.readers import Limits, reader_for
from chiasm.readers.bag import BagReader
from examples import examples

READER = BagReader()
TOKENS = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)


def npy(array=TOKENS) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def h5(make=None, **datasets) -> bytes:
    """A file with these datasets, or whatever `make` puts in."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        for name, values in datasets.items():
            file.create_dataset(name, data=values)
        if make:
            make(file)
    return out.getvalue()


def tensors(**arrays) -> bytes:
    return safetensors.numpy.save(arrays)


@pytest.mark.parametrize("name", ["bag.npy", "bag.h5", "bag.safetensors", "bag"])
@pytest.mark.parametrize(
    "content",
    [
        npy(), npy(TOKENS.astype(np.float64)), npy(np.asfortranarray(TOKENS)), npy(TOKENS.astype(">f4")),
        h5(features=TOKENS), h5(anything=TOKENS), h5(features=TOKENS, coords=np.zeros((7, 2))),
        h5(lambda file: file.create_dataset("x", data=TOKENS, compression="gzip", shuffle=True, fletcher32=True)),
        h5(lambda file: file.create_dataset("deep/er", data=TOKENS, compression="lzf")),
        tensors(features=TOKENS), tensors(x=TOKENS), tensors(features=TOKENS, coords=np.zeros((7, 2))),
    ],
)  # fmt: skip
def test_the_matrix_comes_out(tmp_path, name, content):
    file = written(tmp_path / name, content)
    bag = READER.read(file)
    assert bag.dtype == np.float32 and np.array_equal(bag, TOKENS)
    assert READER.inspect(file) == ()


def test_half_precision_and_integers(tmp_path):
    half = torch.tensor(TOKENS).to(torch.bfloat16)
    bag = READER.read(written(tmp_path / "a", safetensors.torch.save({"features": half})))
    assert bag.dtype == np.float32 and np.array_equal(bag, half.float().numpy())
    for kind in (np.float16, np.int8, np.uint8, np.int64):
        values = (10 * TOKENS).astype(kind)
        assert np.array_equal(READER.read(written(tmp_path / "b", npy(values))), values.astype(np.float32))


def test_cohorts_read_the_same_files(tmp_path):
    files = [written(tmp_path / f"a{suffix}", content) for suffix, content in zip(
        BAG_SUFFIXES, [npy(), h5(features=TOKENS), h5(x=TOKENS), tensors(features=TOKENS)], strict=True)]  # fmt: skip
    bags = Bags(files)
    assert bags.shapes.tolist() == [[7, 5]] * 4 and all(np.array_equal(bag, TOKENS) for bag in bags)


def test_the_registry_gives_it():
    assert type(reader_for("bag")) is BagReader


def test_a_pickle_is_refused_with_the_command_that_converts_it(tmp_path, monkeypatch):
    torch.save(torch.tensor(TOKENS), tmp_path / "bag.pt")
    fault = refused(READER, tmp_path / "bag.pt", "a pickle")
    command = fault.fix.partition('python -c "')[2].partition('" bag.pt bag.npy')[0]
    ast.parse(command)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["-c", "bag.pt", "bag.npy"])
    exec(command, {})  # as a user would who trusts the file
    assert np.array_equal(READER.read(tmp_path / "bag.npy"), TOKENS)
    torch.save(torch.tensor(TOKENS), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    refused(READER, tmp_path / "old.pth", "a pickle")


def lying_npy(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return out.getvalue() + TOKENS.tobytes()


def lying_tensors(shape: list[int], end: int) -> bytes:
    header = json.dumps({"features": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}}).encode()
    return struct.pack("<Q", len(header)) + header + TOKENS.tobytes()


def deflate_bomb(file):
    dataset = file.create_dataset("features", (64, 64), "f4", chunks=(64, 64), compression="gzip")
    dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(90_000_000), 9))


def outside(file):
    file["features"] = h5py.ExternalLink(f"/etc/{PERSON}.h5", "/x")


def elsewhere(file):
    file.create_dataset("features", (7, 5), "f4", external=[(f"{PERSON}.raw", 0, 140)])


def virtual(file):
    layout = h5py.VirtualLayout((7, 5), "f4")
    layout[:] = h5py.VirtualSource(f"{PERSON}.h5", "x", (7, 5))
    file.create_virtual_dataset("features", layout)


def soft(file):
    file["features"] = h5py.SoftLink("/nowhere")


def circle(file):
    group = file.create_group("a")
    group["b"] = group


def announced(file):
    file.create_dataset("features", (2_000_000, 1_000_000), "f4", chunks=(1000, 1000))


def one_large_chunk(file):
    file.create_dataset("features", (20_000, 20_000), "f4", chunks=(20_000, 20_000))


def rare_filter(file):
    file.create_dataset("features", data=np.arange(64).reshape(8, 8), scaleoffset=0)


def tail_biter() -> bytes:
    """A heap whose first free place is followed by itself."""
    whole = bytearray(h5(features=TOKENS))
    heap = whole.index(b"HEAP")
    free, data = struct.unpack_from("<QQ", whole, heap + 16)
    struct.pack_into("<Q", whole, data + free, free)
    return bytes(whole)


BROKEN = {
    "empty": (b"", "empty"),
    "garbage": (PERSON.encode() * 50, r"neither \.npy"),
    "npy cut": (npy()[:-9], "damaged"),
    "npy that lies": (lying_npy((100_000, 4000)), "damaged"),
    "npy over the limit": (lying_npy((10**6, 10**6)), "damaged|announces"),
    "npy below zero": (lying_npy((-7, 5)), "damaged"),
    "npy of objects": (npy(np.array([[PERSON, 1.0]], dtype=object)), "damaged"),
    "npy of words": (npy(np.array([[PERSON]])), "other than real numbers"),
    "npy of records": (npy(np.zeros((2, 2), dtype=[("x", "f4")])), "other than real numbers"),
    "npy of complex numbers": (npy(TOKENS.astype(np.complex64)), "other than real numbers"),
    "one axis": (npy(TOKENS[0]), "1 axes in place of two"),
    "three axes": (npy(TOKENS[None]), "3 axes in place of two"),
    "no token": (npy(TOKENS[:0]), "no token"),
    "no width": (npy(TOKENS[:, :0]), "nothing to read"),
    "NaN": (npy(np.where(TOKENS > 1, np.nan, TOKENS)), "not finite"),
    "beyond float32": (npy(np.full((2, 2), 1e300)), "not finite"),
    "h5 cut": (h5(features=TOKENS)[:700], "damaged"),
    "h5 signature alone": (b"\x89HDF\r\n\x1a\n" + bytes(600), "64 bits"),
    "h5 of nothing": (h5(), "holds 0 datasets"),
    "h5 of two": (h5(a=TOKENS, b=TOKENS), "holds 2 datasets"),
    "h5 of words": (h5(features=np.array([[PERSON.encode()]])), "other than real numbers"),
    "h5 without values": (h5(features=h5py.Empty("f4")), "the dataset is empty"),
    "h5 link out": (h5(outside), "links to another file"),
    "h5 raw data elsewhere": (h5(elsewhere), "in another file"),
    "h5 virtual": (h5(virtual), "in another file"),
    "h5 soft link": (h5(soft), "holds 0 datasets"),
    "h5 circle": (h5(circle), "without end"),
    "h5 that bites its tail": (tail_biter(), "go in a circle"),
    "h5 of short addresses": (h5(features=TOKENS)[:13] + b"\4\4" + h5(features=TOKENS)[15:], "other than 64 bits"),
    "h5 over the limit": (h5(announced), "announces 2,000,000,000,000 values"),
    "h5 of one large chunk": (h5(one_large_chunk), "larger than a gigabyte"),
    "h5 bomb": (h5(deflate_bomb), "unpacks to more than its shape"),
    "h5 of a rare filter": (h5(rare_filter), "compressed in a way"),
    "safetensors of two": (tensors(a=TOKENS, b=TOKENS), "holds 2 arrays"),
    "safetensors cut": (tensors(features=TOKENS)[:-9], "damaged"),
    "safetensors that lies": (lying_tensors([10**6, 10**6], 4 * 10**12), "damaged"),
    "safetensors of another size": (lying_tensors([70, 5], 140), "damaged"),
    "safetensors with an endless header": (struct.pack("<Q", 1 << 60) + b"{" + bytes(50), "truncated"),
    "npz": (b"PK\x03\x04" + bytes(99), "pickle|several arrays"),
    "pickle": (b"\x80\x04\x95" + PERSON.encode(), "a pickle"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(tmp_path, name):
    content, words = BROKEN[name]
    refused(READER, written(tmp_path / f"{PERSON}.npy", content), words, megabytes=10)


def test_several_arrays_in_one_file(tmp_path):
    np.savez(tmp_path / "bag.npz", TOKENS)
    refused(READER, tmp_path / "bag.npz", "several arrays")


def test_what_is_no_file_is_refused(tmp_path):
    refused(READER, tmp_path, "empty|folder")
    refused(READER, "text", "text or a table")
    file = written(tmp_path / "a", npy())
    refused(READER, file, "over the limit of 34", Limits(values=34))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
@given(spoilt=st.sampled_from([npy(), h5(features=TOKENS), tensors(features=TOKENS)]).flatmap(damage))
def test_any_bytes_are_read_or_refused(tmp_path_factory, spoilt):
    survives(READER, written(tmp_path_factory.mktemp("fuzz") / "bag", spoilt))


def test_nothing_is_written_beside_it(tmp_path):
    file = written(tmp_path / "bag.npy", npy())
    READER.read(file)
    assert [path.name for path in Path(tmp_path).iterdir()] == ["bag.npy"]
