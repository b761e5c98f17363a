"""Event tokens: numbers computed by hand, the last events, an order that changes nothing, and nobody's own value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.readers.reading import Events

BORN = -40 * 365.25 * 24


def record(*rows: tuple[float, str, float]) -> Events:
    hours, codes, values = zip(*rows, strict=True)
    return Events(np.array(hours, float), np.array(codes, str), np.array(values, np.float32))


RECORDS = [
    record((BORN, "MEDS_BIRTH", np.nan), (0, "LAB//a", 1), (5, "DX//b", np.nan), (40, "LAB//a", 3)),
    record((0, "LAB//a", 2), (1, "DX//b", np.nan), (5, "X//rare", 1)),
    record((0, "MEDS_BIRTH", np.nan)),
    record((9, "X//other", 1)),
]


def test_numbers_of_events_are_those_computed_by_hand_and_the_last_are_kept() -> None:
    encoder = EventTokens(steps=3).fit(RECORDS)
    assert encoder.vocabulary == ("DX//b", "LAB//a", "MEDS_BIRTH") and encoder.types == ("DX", "LAB", "MEDS_BIRTH")
    tokens = encoder.encode(RECORDS)
    age = [40.0, 40.0 + 5 / 8766, 40.0 + 40 / 8766]
    first = [[14, 3, age[0], 1, 1, 0], [1, 1, age[1], 1, 1, 5], [12, 2, age[2], 2, 2, 35]]  # the birth is moved
    torch.testing.assert_close(tokens.values[0], torch.tensor(first))
    assert tokens.values[1].tolist() == [[10, 2, 0, 1, 1, 0], [1, 1, 0, 1, 1, 1], [0] * 6]
    assert tokens.mask.sum(1).tolist() == [3, 2, 1, 1] and not tokens.values[3].any()
    turned = [Events(own.hours[::-1], own.codes[::-1], own.values[::-1]) for own in RECORDS]
    assert torch.equal(encoder.encode(turned).values, tokens.values)


def test_of_a_code_that_one_patient_has_values_of_no_value_is_kept() -> None:
    encoder = EventTokens().fit(RECORDS)
    assert encoder.edges is not None and encoder.edges[1].tolist() == pytest.approx([1.4, 1.8, 2.2, 2.6])
    assert np.isinf(encoder.edges[[0, 2]]).all(), "one patient's age is nobody's to know"
