"""A file that did not change is not read again, and one that did is, whatever its size and time say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, cohort_from_frames, file_digests
from chiasm.cohort.file_digests import file_digest
from chiasm.store.known_digests import MAGIC, NAME, add_digests, read_digests


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, so that no test waits."""
    monkeypatch.setattr(file_digests, "SETTLED_NS", -(10**12))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "files").mkdir()
    for k in range(5):
        write(tmp_path / "files" / f"zelda-{k}.csv", k)
    return tmp_path


def write(path: Path, seed: int) -> None:
    values = np.random.default_rng(seed).integers(10, 99, (200, 2))
    pd.DataFrame({"seconds": [f"{k / 100:.2f}" for k in range(200)], "one": values[:, 0], "two": values[:, 1]}).to_csv(
        path, index=False
    )


def cohort_of(folder: Path) -> Cohort:
    files = {path.stem: path for path in sorted((folder / "files").iterdir())}
    return cohort_from_frames(pd.DataFrame(index=list(files)), {"signal": files}, kinds={"signal": "signal"})


def read_files(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that are opened from now on."""
    seen: list[str] = []
    plain = Path.open

    def opened(self: Path, *args: Any, **options: Any) -> Any:
        if self.suffix == ".csv":
            seen.append(self.name)
        return plain(self, *args, **options)

    monkeypatch.setattr(Path, "open", opened)
    return seen


def test_a_second_run_reads_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1)
    seen = read_files(monkeypatch)
    again = chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1)
    assert not seen and again.counts["signal"].stored == 5
    assert again.cohort.fingerprint == first.cohort.fingerprint
    assert [t.tobytes() for t in again.cohort.raw("signal")] == [t.tobytes() for t in first.cohort.raw("signal")]


def test_a_file_written_anew_is_read_and_encoded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1)
    changed = folder / "files" / "zelda-2.csv"
    before = changed.stat()
    write(changed, 99)
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (changed.stat().st_size, changed.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    seen = read_files(monkeypatch)
    again = chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1)
    assert again.counts["signal"].encoded == 1 and set(seen) == {"zelda-2.csv"}


def test_a_file_that_was_just_written_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "SETTLED_NS", 10**12)
    known: dict[bytes, bytes] = {}
    file_digest(folder / "files" / "zelda-0.csv", known)
    assert not known


def test_folders_and_records_are_known_by_all_their_files(tmp_path: Path) -> None:
    known: dict[bytes, bytes] = {}
    for name in ("scan/a", "scan/b", "rec.dat", "rec.hea"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "rec.hea").write_text("rec 1 100 4\nrec.dat 16\n")
    scan, record = file_digest(tmp_path / "scan", known), file_digest(tmp_path / "rec", known)
    assert len(known) == 2 and scan != record
    assert file_digest(tmp_path / "scan", dict.fromkeys(known, bytes(16))) == bytes(16)
    (tmp_path / "scan" / "c").write_bytes(b"more")
    (tmp_path / "rec.dat").write_bytes(b"other")
    assert file_digest(tmp_path / "scan", known) != scan and file_digest(tmp_path / "rec", known) != record


def test_what_is_kept_names_nothing_and_damage_counts_as_nothing(folder: Path) -> None:
    chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1)
    path = folder / "store" / NAME
    whole = path.read_bytes()
    assert whole.startswith(MAGIC) and len(whole) == 32 + 5 * 32 and b"zelda" not in whole
    assert path.stat().st_mode & 0o077 == 0
    assert len(read_digests(folder / "store")) == 5
    for damaged in (
        b"",
        whole[:-32],
        whole[:40] + bytes([whole[40] ^ 1]) + whole[41:],
        b"x" + whole[1:],
        whole + bytes(32),
    ):
        path.write_bytes(damaged)
        assert read_digests(folder / "store") == {}
        assert chiasm.encode(cohort_of(folder), store=folder / "store", jobs=1).counts["signal"].stored == 5
    assert len(read_digests(folder / "store")) == 5


def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    add_digests(tmp_path / "nothing", {bytes(16): bytes(16)})
    assert not (tmp_path / "nothing").exists() and read_digests(tmp_path / "nothing") == {}
    (tmp_path / "file").write_text("not a folder")
    add_digests(tmp_path / "file", {bytes(16): bytes(16)})
