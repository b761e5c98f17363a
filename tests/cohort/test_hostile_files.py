"""Files made to hurt: pipes, devices, bombs, endless lines and keys are refused at once, with a sentence."""

from __future__ import annotations

import gzip
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from chiasm import limits
from chiasm.cohort import bag_files, cohort_from_frames, schema, table_bytes, tables
from chiasm.cohort.bag_files import RefusedBag, bag_shape, read_bag
from chiasm.cohort.genesets import read_gene_sets
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.schema import read_keys, read_toml
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError
from chiasm.limits import LimitError, require_regular
from young_process import run_young

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are of POSIX")
HEAD = b"id,u,v\np1,1,2\n"


def piped(file: Path) -> None:
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


ODD = {"a pipe": piped, "an endless device": endless, "a folder": lambda file: file.mkdir()}


@pytest.mark.parametrize("what", ODD)
def test_nothing_but_regular_files_is_opened(what: str, tmp_path: Path) -> None:
    """Each of these would block, or fill the memory, as soon as it is opened."""
    file = tmp_path / "x.npy"
    ODD[what](file)
    with pytest.raises(LimitError, match="and no file"):
        require_regular(file, 10)
    content, (problem,) = read_toml(file)
    assert content is None and "and no file" in problem.what
    for read in (read_bag, bag_shape):
        with pytest.raises(RefusedBag, match="and no file"):
            read(file)
    if what != "an endless device":  # which lies outside the cohort's folder
        with pytest.raises(CohortError, match="and no file"):
            read_gene_sets(tmp_path, file.name, ["u"], "rna")
    for name in ("x.csv", "x.csv.gz", "x.parquet"):
        if what != "a folder":
            ODD[what](tmp_path / name)
            with pytest.raises(CohortError, match="no such file"):
                Table(tmp_path / name, name).inspect()


def test_what_is_only_holes_is_not_read(tmp_path: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000, 4), }"
    header += b" " * (117 - len(header)) + b"\n"
    file = tmp_path / "x.npy"
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    os.truncate(file, 128 + 16 * 10**8)
    for read in (read_bag, bag_shape):
        with pytest.raises(RefusedBag, match="consists of holes"):
            read(file)
    np.save(tmp_path / "y.npy", np.ones((2, 4), np.float32))
    bags = {"p1": file, "p2": tmp_path / "y.npy"}
    cohort = cohort_from_frames(pd.DataFrame(index=["p1", "p2"]), {"slides": bags})
    began = time.process_time()
    assert len(set(cohort.sources["slides"].digests(np.arange(2)))) == 2
    assert time.process_time() - began < 0.5, "a digest of the file reads what nobody wrote, seconds a gigabyte"


def test_a_bag_with_a_header_of_too_many_tensors_is_refused(tmp_path: Path) -> None:
    names = ",".join(f'"t{k}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for k in range(limits.TENSORS + 3))
    header = ("{" + names + "}").encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(RefusedBag, match="over 100,000 tensors"):
        read_bag(tmp_path / "x.safetensors")
    (tmp_path / "y.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}" * 50)
    with pytest.raises(RefusedBag, match="truncated or is not safetensors"):
        read_bag(tmp_path / "y.safetensors")


def refused(tmp_path: Path, name: str, data: bytes, match: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CohortError, match=match):
        Table(tmp_path / name, name).inspect()


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r", b" \n"])
def test_megabytes_of_blank_lines_are_refused(line: bytes, tmp_path: Path) -> None:
    blank = line * (3 * limits.MEGABYTE // len(line))
    refused(tmp_path, "x.csv", HEAD + blank, "a megabyte of blank lines")
    refused(tmp_path, "x.csv.gz", gzip.compress(HEAD + blank, 1), "a megabyte of blank lines")
    (tmp_path / "x.csv").write_bytes(HEAD + line * 1000)
    Table(tmp_path / "x.csv", "x.csv").inspect()


def test_megabytes_of_rows_that_a_spreadsheet_emptied_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(HEAD + b",,\n" * limits.MEGABYTE)
    table = Table(tmp_path / "x.csv", "x.csv")
    table.inspect()
    assert len(table) == 1


def test_a_packed_table_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"p1,0,0\n" * 500_000
    monkeypatch.setattr(table_bytes, "BOMB_BYTES", limits.MEGABYTE)
    refused(tmp_path, "x.csv.gz", gzip.compress(HEAD + rows), "unpacks to more than 200 times its size")
    random = np.random.default_rng(0).integers(0, 10**6, 10**5)
    text = HEAD + b"".join(b"p%d,%d,1\n" % (k, value) for k, value in enumerate(random.tolist()))
    (tmp_path / "y.csv.gz").write_bytes(gzip.compress(text))  # as large, and real
    Table(tmp_path / "y.csv.gz", "y.csv.gz").inspect()


@pytest.mark.parametrize("start", [b"id,", b'id,"', b"id" + b",u" * 100])
def test_a_first_line_without_end_is_refused(start: bytes, tmp_path: Path) -> None:
    refused(tmp_path, "x.csv", start + b"x" * (17 * limits.MEGABYTE), "has a first line of over 16 MB")


@pytest.mark.parametrize(  # named, since gzip writes the time, and two processes must collect the same
    "data",
    [b"no gzip", gzip.compress(HEAD * 1000)[:-9], gzip.compress(HEAD)[:12] + b"\xff" * 90],
    ids=("no gzip", "cut", "garbage"),
)
def test_a_packed_table_that_is_damaged_is_told_as_such(data: bytes, tmp_path: Path) -> None:
    refused(tmp_path, "x.csv.gz", data, "cannot be unpacked")


def test_too_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_bytes, "TABLE_ROWS", 1000)
    refused(tmp_path, "x.csv", HEAD + b"p1,1,1\n" * 2000, "has over 1,000 rows")


def test_a_column_whose_type_is_damaged_does_not_end_the_process(tmp_path: Path) -> None:
    """pyarrow aborts where it is asked for the statistics of a text of which the schema says that it is a number."""
    file = tmp_path / "patients.parquet"
    pq.write_table(pa.table({"x": [1.0, 2.0], "id": ["p1", "p2"]}), file)
    whole = file.read_bytes()
    text, decimal = b"\x15\x0c\x25", b"\x15\x08\x25"  # the field `type` of the schema, BYTE_ARRAY and FLOAT
    assert whole.count(text) == 1
    file.write_bytes(whole.replace(text, decimal))
    for script in (
        "from chiasm.cohort.tables import Table; t = Table(path, 'x'); t.inspect(); t.frame()",
        "from chiasm.readers.record import meds; meds._read_shard(path, meds.Limits(), 9)",
    ):
        code = f"import sys\nfrom pathlib import Path\npath = Path(sys.argv[1])\n{script}"
        done = run_young(code, str(file))
        assert done.returncode in (0, 1), done.stderr[-500:]  # read or refused, and not ended by a signal
        assert "Error: " in done.stderr or not done.returncode, done.stderr[-500:]


def test_a_parquet_file_that_announces_more_than_it_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_bytes, "BOMB_CELLS", 5_000_000)
    rows = 600_000
    table = pa.table({"id": pa.array(np.zeros(rows, np.int8)), "u": pa.array(np.zeros(rows, np.int8))})
    with pq.ParquetWriter(tmp_path / "x.parquet", table.schema) as file:
        for _ in range(6):
            file.write_table(table)
    assert (tmp_path / "x.parquet").stat().st_size < 30_000
    with pytest.raises(CohortError, match="more cells than its bytes can hold"):
        Table(tmp_path / "x.parquet", "x.parquet").inspect()


MANIFESTS: dict[str, tuple[str, str]] = {
    "a key of 50,000 parts": ("a." * 50_000 + "b = 1\n", "a key has over 64 parts"),
    "a section of 50,000 parts": ("[" + "a." * 50_000 + "b]\n", "a key has over 64 parts"),
    "a quoted key of 50,000 parts": ('"a".' * 50_000 + "b = 1\n", "a key has over 64 parts"),
    "an inline key of 50,000 parts": ("x = { " + "a." * 50_000 + "b = 1 }\n", "a key has over 64 parts"),
    "lists in lists": ("x = " + "[" * 50_000 + "]" * 50_000 + "\n", "is not TOML"),
    "a number of 5,000 digits": ("x = " + "9" * 5_000 + "\n", "is not TOML"),
    "5 MB": ("# " + "x" * (5 * limits.MEGABYTE), "over the limit of 4 MB"),
}


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_without_end_is_refused(what: str, tmp_path: Path) -> None:
    text, message = MANIFESTS[what]
    (tmp_path / "cohort.toml").write_text(text)
    content, (problem,) = read_toml(tmp_path / "cohort.toml")
    assert content is None and message in problem.what


def test_a_long_list_is_no_long_key(tmp_path: Path) -> None:
    columns = ", ".join(f'"gene-{k}"' for k in range(20_000))
    (tmp_path / "cohort.toml").write_text(f"[modalities.rna]\ncolumns = [{columns}]\n")
    content, problems = read_toml(tmp_path / "cohort.toml")
    assert not problems and content is not None and len(content["modalities"]["rna"]["columns"]) == 20_000


def test_too_many_modalities_and_horizons_are_refused() -> None:
    patients = {"table": "p.csv", "id": "id"}
    many = {f"m{k}": {"kind": "table", "table": "a.csv"} for k in range(limits.MODALITIES + 1)}
    keys, (problem,) = read_keys({"patients": patients, "modalities": many}, "cohort.toml")
    assert keys is None and "1,001 modalities, over the limit of 1,000" in problem.what
    one = {"m": {"kind": "table", "table": "a.csv"}}
    for times in ([float(k + 1) for k in range(limits.HORIZONS + 1)], [10**400], [-(10**400)]):
        target = {"kind": "survival", "time": "t", "event": "e", "times": times}
        _, (problem,) = read_keys({"patients": patients, "modalities": dict(one), "target": target}, "cohort.toml")
        assert "1,000 at most" in problem.what


def test_the_limits_stand_in_one_place() -> None:
    used: list[Callable[..., int]] = [schema.require_regular, bag_files.require_regular, table_bytes.require_regular]
    assert all(own is limits.require_regular for own in used)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv"])
def test_more_patients_than_fit_into_memory_are_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 million in a Parquet file of 30 MB would take as many kilobytes."""
    monkeypatch.setattr(tables, "PATIENTS", 3)
    (tmp_path / "cohort.toml").write_text(
        f'[patients]\ntable = "{name}"\nid = "id"\n[modalities.labs]\nkind = "table"\ncolumns = ["u"]\n'
    )
    for rows in (3, 4):
        (tmp_path / "p.csv").write_text("id,u\n" + "".join(f"p{k},{k}\n" for k in range(rows)))
        columns = {"id": [f"p{k}" for k in range(rows)], "u": list(range(rows))}
        pq.write_table(pa.table(columns), tmp_path / "p.parquet")
        cohort, problems = read_manifest(tmp_path)
        assert (cohort is None) == (rows > 3)
    assert [problem.what for problem in problems] == ["has 4 rows, over the limit of 3 patients"]


def test_a_packed_table_of_more_cells_than_its_bytes_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two bytes of text, nothing when packed, become eight of memory."""
    monkeypatch.setattr(limits, "DECODED_BYTES", 100_000)
    rng = np.random.default_rng(0)
    for name, cells in (("noughts", np.zeros((500, 200), int)), ("counts", rng.integers(0, 3, (500, 200)))):
        rows = "".join(f"p{k}," + ",".join(map(str, row)) + "\n" for k, row in enumerate(cells))
        head = "id," + ",".join(f"c{k}" for k in range(200)) + "\n"
        (tmp_path / f"{name}.csv.gz").write_bytes(gzip.compress((head + rows).encode()))
    Table(tmp_path / "counts.csv.gz", "counts.csv.gz").inspect()
    with pytest.raises(CohortError, match="cells of over 200 times its size"):
        Table(tmp_path / "noughts.csv.gz", "noughts.csv.gz").inspect()


def test_a_parquet_file_with_other_rows_than_its_header_announces_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.table({"id": ["a", "b", "c"]}), tmp_path / "x.parquet")
    table = Table(tmp_path / "x.parquet", "x.parquet")
    assert table.texts("id").tolist() == ["a", "b", "c"]
    monkeypatch.setattr(Table, "__len__", lambda self: 4)
    with pytest.raises(CohortError, match="Parquet file is damaged"):
        table.texts("id")
