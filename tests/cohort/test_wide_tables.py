"""Tables of many columns: what is done with each column costs no look at all the others."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm import CohortError
from chiasm.cohort import cohort_from_frames, modality_checks
from chiasm.cohort.modality_checks import _constant, block_problems
from chiasm.cohort.tables import Table
from chiasm.encoders.table.table import TableEncoder

SECONDS = 5.0  # of the processor; looking at all columns for each takes minutes


def test_the_last_of_many_columns_is_told_to_be_repeated(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(60_000)]
    (tmp_path / "x.csv").write_text(",".join([*names, "c59999"]) + "\n")
    table, start = Table(tmp_path / "x.csv", "x.csv"), time.process_time()
    with pytest.raises(CohortError, match="the name of column 60,000 stands twice in the header, in column 60,001"):
        table.inspect()
    assert time.process_time() - start < SECONDS


def test_a_table_encoder_is_linear_in_its_columns() -> None:
    values = np.random.default_rng(0).normal(size=(12, 3_000))
    values[0] = np.nan  # every column gets a missing flag
    raw = pd.DataFrame(values, columns=[f"c{k}" for k in range(3_000)])
    start = time.process_time()
    encoder = TableEncoder().fit(raw)
    assert encoder.encode(raw).values.shape == (12, 32, 188)  # 94 columns a token, each with its flag
    assert time.process_time() - start < SECONDS


def test_columns_of_at_most_one_value_are_constant() -> None:
    nan, inf = np.nan, np.inf
    frame = pd.DataFrame(
        {"same": [1.0, 1, 1], "empty": [nan] * 3, "one": [nan, 2, nan], "signed": [0.0, -0.0, 0], "far": [inf] * 3}
        | {"two": [1.0, nan, 2], "both": [inf, -inf, 0.0]}
        | {"word": ["a", "a", nan], "words": ["a", "b", nan]}
    )
    assert dict(zip(frame.columns, _constant(frame).tolist(), strict=True)) == {
        "same": True, "empty": True, "one": True, "signed": True, "far": True, "two": False, "both": False,
        "word": True, "words": False,
    }  # fmt: skip


def test_a_wide_table_is_checked_some_columns_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same findings, and with less memory beside it than a second copy of it takes."""
    values = np.random.default_rng(0).normal(size=(40, 4_000))
    values[3, 2_000], values[7, 3_999], values[5, 1] = np.inf, -np.inf, 1e200
    values[:, [0, 2_500, 3_998]] = 2.0
    columns = [f"c{k}" for k in range(4_000)]
    frame = pd.DataFrame(values, columns=columns, index=[f"p{k}" for k in range(40)]).assign(word="same")
    cohort = cohort_from_frames(frame[[]], {"labs": frame})
    expected = block_problems(cohort, "labs")
    assert [own.finding for own in expected] == ["not-finite", "extreme-number", "constant-columns"]
    assert "2 values not finite in 'c2000', 'c3999' (rows 5, 9)" in expected[0].what and expected[0].row == 5
    assert "4 columns constant or all missing: 'c0', 'c2500', 'c3998', 'word'" in expected[2].what
    monkeypatch.setattr(modality_checks, "CELLS_AT_ONCE", 40 * 100)
    tracemalloc.start()
    assert block_problems(cohort, "labs") == expected
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < values.nbytes, f"{peak / values.nbytes:.1f} times the table"
