"""Digests and identifiers: equal where the content is, and small, however many patients there are."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd

from chiasm.cohort import Classification, Cohort, cohort_from_frames
from chiasm.cohort.digests import as_digests, as_hex, digest_of, repeated
from chiasm.cohort.identifiers import places_of, repeats
from chiasm.cohort.units import content_keys


def cohort_of(patients: int) -> Cohort:
    """A table and a text of each patient; every third one lacks the text."""
    ids = pd.Index([f"{k:07d}" for k in range(patients)])
    table = pd.DataFrame({"x": np.arange(patients) * 0.5}, index=ids)
    text = pd.DataFrame({"note": ids}, index=ids)[np.arange(patients) % 3 != 0]
    label = pd.DataFrame({"label": np.arange(patients) % 2}, index=ids)
    kinds = {"table": "table", "text": "text"}
    return cohort_from_frames(label, {"table": table, "text": text}, Classification("label"), kinds=kinds)


def test_a_digest_that_ends_in_zeros_is_itself() -> None:
    found = as_digests([bytes(16), b"a" * 15 + b"\0", b"a" * 16])
    assert as_hex(found) == ["00" * 16, "61" * 15 + "00", "61" * 16]
    assert len(np.unique(found)) == 3
    assert digest_of("half \ud800 a character") == digest_of("half \ud800 a character".encode("utf-8", "surrogatepass"))


def test_repeats_and_places_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    for size in (0, 1, 7, 50):
        texts = rng.integers(0, 20, size).astype(str)
        wanted = rng.integers(-5, 25, 30).astype(str)
        assert repeats(texts).tolist() == [text in texts[:k] for k, text in enumerate(texts)]
        where = [texts.tolist().index(text) if text in texts else -1 for text in wanted.tolist()]
        assert places_of(wanted, texts).tolist() == where
    keys = np.array([b"", b"a", b"", b"b", b"a"])
    assert repeated(keys).tolist() == [False, True, False, False, True]


def test_patients_alike_in_one_modality_and_without_another_are_told_apart() -> None:
    cohort = cohort_of(6)
    keys = content_keys(cohort)
    assert len(set(keys.tolist())) == 6
    assert keys.tolist() == [b"".join(row).ljust(32, b"\0").rstrip(b"\0") for row in _padded(cohort)]


def _padded(cohort: Cohort) -> list[list[bytes]]:
    return [[item.ljust(16, b"\0") for item in row] for row in cohort.digests.tolist()]


def test_a_patient_costs_few_bytes_beside_the_values() -> None:
    patients = 20_000
    cohort_of(100).fingerprint  # noqa: B018 - what is imported on first use
    tracemalloc.start()
    try:
        cohort = cohort_of(patients)
        assert cohort.fingerprint and cohort.present.all(1).sum() == patients * 2 // 3
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # id 28, rows 8 + 8 + 8, outcome 9, presence 2, number 8, two digests 32, the text 8 + 56
    assert held / patients < 200


def test_every_row_is_hashed_once(monkeypatch) -> None:
    hashed = []
    monkeypatch.setattr("chiasm.cohort.sources.digest_of", lambda content: hashed.append(1) or digest_of(content))
    cohort = cohort_of(90)
    first = cohort.digests
    assert len(hashed) == 150
    assert (cohort.subset(np.arange(0, 90, 2)).digests == first[::2]).all()
    assert len(hashed) == 150
