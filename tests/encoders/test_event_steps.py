"""Event steps: a token for each time, its mask and its time, binned where there are too many."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.encoders.record.event_steps import EventSteps
from chiasm.readers.reading import Events
from chiasm.testing import check_encoder


def record(*events: tuple[float, str, float]) -> Events:
    hours, codes, values = zip(*events, strict=True)
    return Events(np.array(hours, np.float64), np.array(codes), np.array(values, np.float64))


RAW = [
    record((0, "a", 1.0), (0, "b", 5.0), (2, "a", 2.0), (2, "a", 4.0), (7, "drug", np.nan)),
    record((1, "a", 3.0), (3, "b", 6.0), (4, "drug", np.nan)),
    record((2, "a", 5.0), (2.5, "b", 9.0), (9, "drug", np.nan)),
    record((5, "unknown", 1.0)),
]


def test_it_passes_the_public_check() -> None:
    check_encoder(EventSteps(references=3), RAW * 3)


def test_a_token_is_a_time_with_the_mean_of_each_code_and_what_was_observed() -> None:
    fitted = EventSteps(references=3).fit(RAW)
    assert fitted.vocabulary == ("a", "b", "drug") and fitted.width == 9
    assert fitted.median is not None and fitted.scale is not None
    tokens = fitted.encode(RAW)
    assert tokens.times is not None
    assert tokens.mask.sum(1).tolist() == [3, 3, 3, 1] and tokens.times[0, :3].tolist() == [0.0, 2.0, 7.0]
    assert tokens.values[0, :3, 3:].tolist() == [[1, 1, 0] * 2, [1, 0, 0] * 2, [0, 0, 0, 0, 0, 1]]
    scaled = np.arcsinh((np.array([2.0, 4.0]) - fitted.median[0]) / fitted.scale[0]) / 2
    assert float(tokens.values[0, 1, 0]) == pytest.approx(scaled.mean(), abs=1e-6)
    assert float(tokens.values[0, 2, 2]) == 0.0  # a drug has no value, and was observed
    assert not tokens.values[3].any()


def test_more_times_than_steps_are_binned_evenly_in_time_and_nothing_is_lost() -> None:
    fitted = EventSteps(steps=2, references=3).fit(RAW)
    tokens = fitted.encode(RAW[:1])
    assert tokens.times is not None and tokens.mask.sum() == 2
    assert tokens.times[0].tolist() == [1.0, 7.0]  # 0, 0, 2, 2 hours, and 7
    assert tokens.values[0, :, 3:].tolist() == [[1, 1, 0] * 2, [0, 0, 0, 0, 0, 1]]


def test_an_event_without_a_value_of_a_code_that_has_values_is_observed_and_has_none() -> None:
    fitted = EventSteps(references=3).fit(RAW)
    tokens = fitted.encode([record((0, "a", 5.0), (1, "a", np.nan), (2, "a", np.nan), (2, "a", 5.0))])
    assert tokens.values[0, :, [0, 3, 6]].tolist() == [
        [tokens.values[0, 0, 0], 1, 1],
        [0, 0, 1],
        [*tokens.values[0, 0, [0, 3, 6]]],
    ]


def test_it_refuses_what_it_cannot_read() -> None:
    with pytest.raises(ValueError, match="no code is shared"):
        EventSteps().fit([record((0, f"own {k}", 1.0)) for k in range(5)])
    with pytest.raises(ValueError, match="not fitted"):
        EventSteps().encode(RAW)
    with pytest.raises(ValueError, match="steps"):
        EventSteps(steps=0)
