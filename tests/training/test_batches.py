"""Batches of an epoch: every patient once, or a random part of very many."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.training import batches
from chiasm.training.batches import training_batches


@pytest.mark.parametrize("ragged", [False, True])
def test_an_epoch_of_many_patients_reads_a_random_part_of_them(monkeypatch: pytest.MonkeyPatch, ragged: bool) -> None:
    monkeypatch.setattr(batches, "MOST_STEPS", 5)
    lengths = np.arange(1_000) if ragged else np.zeros(1_000, np.int64)
    generator = torch.Generator().manual_seed(0)
    seen = [np.concatenate(training_batches(np.arange(1_000), lengths, 8, generator)) for _ in range(2)]
    assert [len(rows) for rows in seen] == [40, 40]
    assert len(np.intersect1d(*seen)) < 10  # drawn anew: two of forty in a thousand are expected


def test_an_epoch_of_few_patients_reads_each_once() -> None:
    generator = torch.Generator().manual_seed(0)
    found = np.concatenate(training_batches(np.arange(100), np.zeros(100, np.int64), 8, generator))
    assert sorted(found.tolist()) == list(range(100))
