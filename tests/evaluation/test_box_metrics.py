"""Average precision of boxes is that of pycocotools, and a draw of images is those images over again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm.metrics.detection import by_label, map_within, matched
from chiasm.metrics.scored import Scored, scored_of
from chiasm.metrics.scores import score
from chiasm.targets import Outcome
from chiasm.targets.marked import BoxesOfOne, Marked, as_text

STORED = json.loads((Path(__file__).parent / "fixtures" / "boxes.json").read_text("utf-8"))
LABELS = ("a", "b", "c")


def boxes(rows: list[list[float]], side: float) -> BoxesOfOne:
    """Rows of label, score where they have six numbers, and corners."""
    corners = [[own / side for own in row[-4:]] for row in rows]
    scores = np.array([row[1] for row in rows]) if rows and len(rows[0]) == 6 else None
    return BoxesOfOne.of([int(row[0]) for row in rows], corners, scores)


def both_of(case: dict[str, Any]) -> list[list[BoxesOfOne]]:
    return [[boxes(rows, case["side"]) for rows in case[key]] for key in ("truth", "found")]


def outcome_of(truth: list[BoxesOfOne]) -> Outcome:
    each = np.empty(len(truth), dtype=object)
    each[:] = truth
    marked = Marked(each, LABELS, np.full((len(truth), 2), np.nan))
    return Outcome(marked.counts, None, np.ones(len(truth), dtype=bool), boxes=marked)


def frame_of(found: list[BoxesOfOne]) -> pd.DataFrame:
    numbers = np.array([np.bincount(own.label, minlength=3) for own in found], dtype=float)
    made = pd.DataFrame(numbers, columns=[f"count_{name}" for name in LABELS])
    made.insert(0, "boxes", [as_text(own, LABELS) for own in found])
    return made


@pytest.mark.parametrize("case", STORED["cases"], ids=range(len(STORED["cases"])))
def test_means_and_labels_are_those_of_pycocotools(case: dict[str, Any]) -> None:
    truth, found = both_of(case)
    values = score("boxes", frame_of(found), outcome_of(truth), LABELS)
    for name in ("map", "map_50", "map_75"):
        assert values[name][0] == pytest.approx(case["known"][name], abs=1e-6), name
    scored = scored_of("boxes", frame_of(found), outcome_of(truth), LABELS, None)
    labels = by_label(scored, np.ones((1, len(truth))))[0, :, 0]
    np.testing.assert_allclose(labels, np.array(case["known"]["labels"], dtype=float), atol=1e-6)


def test_a_draw_is_the_images_over_again_and_their_order_decides_nothing() -> None:
    case, rng = STORED["cases"][2], np.random.default_rng(0)
    truth, found = both_of(case)
    found[1] = found[0]  # tied scores, in two images
    weights = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=4)
    drawn = score("boxes", frame_of(found), outcome_of(truth), LABELS, weights)
    for row, many in enumerate(weights):
        rows = rng.permutation(np.repeat(np.arange(len(truth)), many))
        again = score("boxes", frame_of([found[k] for k in rows]), outcome_of([truth[k] for k in rows]), LABELS)
        for name in ("map", "map_50", "map_75", "count_error", "count_bias"):
            assert drawn[name][row] == pytest.approx(again[name][0], abs=1e-12), name


def test_numbers_by_hand() -> None:
    truth = [boxes([[0, 0, 0, 1, 1]] * 2, 1.0), boxes([], 1.0)] * 5
    frame = frame_of([boxes([], 1.0)] * 10).assign(count_a=[3.0, 2.0] * 5, count_b=0.5)
    values = score("boxes", frame, outcome_of(truth), LABELS)
    assert values["count_error"][0] == pytest.approx((1.5 + 0.5 + 0) / 3)
    assert values["count_bias"][0] == pytest.approx((1.5 + 0.5 + 0) / 3)
    assert values["map"][0] == 0.0  # nothing was drawn, and there was something


def test_each_drawn_box_is_found_once_and_the_surest_takes_it() -> None:
    truth = boxes([[0, 0, 0, 0.5, 0.5]], 1.0)
    found = boxes([[0, 0.3, 0, 0, 0.5, 0.5], [0, 0.9, 0, 0, 0.5, 0.4], [1, 1.0, 0, 0, 0.5, 0.5]], 1.0)
    scores, right = matched(found, truth, 0)
    assert scores.tolist() == [0.9, 0.3]
    assert right[0].tolist() == [own <= 0.8 + 1e-9 for own in np.linspace(0.5, 0.95, 10)]  # its overlap is .8
    assert right[1].tolist() == [not own for own in right[0]]


def test_within_strata_is_the_mean_over_them_by_images() -> None:
    case = STORED["cases"][3]
    truth, found = both_of(case)
    outcome, frame = outcome_of(truth), frame_of(found)
    scored = scored_of("boxes", frame, outcome, LABELS, None)
    strata = np.array([0] * 8 + [1] * 3 + [-1])[:, None]
    parts = [
        score("boxes", frame.iloc[rows], outcome.take(rows), LABELS, min_events=1)["map"][0]
        for rows in (np.arange(8), np.arange(8, 11))
    ]
    expected = (8 * parts[0] + 3 * parts[1]) / 11
    assert map_within(scored, strata, np.ones((1, 12)))[0] == pytest.approx(expected)


def test_what_is_no_prediction_of_boxes_is_refused() -> None:
    outcome = outcome_of([boxes([], 1.0)] * 6)
    frame = frame_of([boxes([], 1.0)] * 6)
    with pytest.raises(ValueError, match="JSON list"):
        score("boxes", frame.assign(boxes="red"), outcome, LABELS)
    with pytest.raises(ValueError, match="count_b"):
        score("boxes", frame.drop(columns="count_b"), outcome, LABELS)
    with pytest.raises(ValueError, match="no boxes to score"):
        map_within(Scored(np.zeros((6, 3)), outcome), np.zeros((6, 1), int), np.ones((1, 6)))
