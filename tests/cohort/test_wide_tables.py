"""Tables of many columns: what is done with each column costs no look at all the others."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm import CohortError
from chiasm.cohort.modality_checks import _constant
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
