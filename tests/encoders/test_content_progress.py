"""Reading what large files hold says how far it is, is done once, and is not done again for what the store knows."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm import api
from chiasm.cohort import Cohort, cohort_from_frames
from chiasm.encoding import source_digests as encoding

FILES = 5


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    PIL = pytest.importorskip("PIL.Image")
    lines = ["id,label"]
    for k in range(FILES):
        pixels = np.random.default_rng(k).integers(0, 255, (32, 32), dtype=np.uint8)
        PIL.fromarray(pixels).save(tmp_path / f"p{k}.png")
        os.utime(tmp_path / f"p{k}.png", (1e9, 1e9))
        lines.append(f"p{k},{k % 2}")
    (tmp_path / "patients.csv").write_text("\n".join(lines))
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "label"\n'
        '[modalities.scan]\nkind = "image"\npath = "{id}.png"\n'
    )
    return tmp_path / "cohort.toml"


def test_content_that_takes_long_is_told_of(manifest: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(encoding, "QUIET_SECONDS", 0.0)
    told: list[tuple[str, int, int]] = []
    api.examine(manifest, progress=lambda *seen: told.append(seen))
    assert [seen for seen in told if seen[0] == "scan, content"] == [("scan, content", k + 1, 5) for k in range(FILES)]
    told.clear()
    chiasm.encode(chiasm.open_cohort(manifest), store=tmp_path / "store", jobs=1, progress=lambda *s: told.append(s))
    assert [name for name, *_ in told][:FILES] == ["scan, content"] * FILES and told[-1] == ("scan", 5, 5)


def test_nothing_is_told_of_what_is_quick(manifest: Path, tmp_path: Path) -> None:
    told: list[str] = []
    chiasm.encode(
        chiasm.open_cohort(manifest), store=tmp_path / "s", jobs=1, progress=lambda name, *_: told.append(name)
    )
    assert set(told) == {"scan"}


def test_what_the_store_knows_is_not_read_for_its_content(manifest: Path, monkeypatch) -> None:
    time.sleep(2.1)  # a file written a moment ago is read again
    chiasm.encode(chiasm.open_cohort(manifest), jobs=1)
    read: list[Path] = []
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, *rest, **more: read.append(self) or opened(self, *rest, **more), raising=True
    )
    again = chiasm.open_cohort(manifest)
    encoding.know_digests(again, api.open_store())
    assert len(np.unique(again.digests)) > 1
    assert not [path for path in read if path.suffix == ".png"]


def test_a_cohort_in_memory_is_left_alone() -> None:
    patients = pd.DataFrame(index=["a", "b"])
    cohort: Cohort = cohort_from_frames(patients, {"bag": {"a": np.ones((2, 3)), "b": np.zeros((1, 3))}})
    encoding.know_digests(cohort, api.open_store())
    assert len(np.unique(cohort.digests)) == 2
