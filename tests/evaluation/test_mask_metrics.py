"""Metrics of label maps are MONAI's, a draw of patients is those patients over again, and what is undefined is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_masks import SPACINGS, TOLERANCE, made, written

from chiasm.metrics.scored import scored_of
from chiasm.metrics.scores import score
from chiasm.metrics.segmentation import LABEL_MEASURES, by_label, dice_within, measured
from chiasm.targets import Outcome
from chiasm.targets.label_maps import LabelMaps, as_text, map_of
from examples import ALL

STORED = json.loads((Path(__file__).parent / "fixtures" / "masks.json").read_text("utf-8"))
LABELS = ("a", "b")


def text(codes: list[list[int]] | np.ndarray, spacing: tuple[float, ...] | None = None) -> str:
    return as_text(map_of(np.array(codes), spacing), LABELS)


def outcome_of(texts: list[str], volumes: np.ndarray | None = None) -> Outcome:
    held = np.array(texts, dtype=object)
    maps = LabelMaps(held, LABELS, TOLERANCE, np.full(len(held), None, dtype=object))
    value = np.stack([maps.of(k).volumes(2) for k in range(len(held))]) if volumes is None else volumes
    return Outcome(value, None, np.ones(len(held), dtype=bool), maps=maps)


def frame_of(texts: list[str]) -> pd.DataFrame:
    value = outcome_of([own or text([[0]]) for own in texts]).value
    return pd.DataFrame({"mask": texts, "volume_a": value[:, 0], "volume_b": value[:, 1]})


@pytest.mark.parametrize("axes", [2, 3])
def test_every_measure_is_monais(axes: int) -> None:
    """But for a label that one of the two lacks: MONAI says infinity or nothing, and here it is the diagonal."""
    for seed in range(10):
        truth, said = made(axes, seed)
        found = measured(map_of(said), map_of(truth, SPACINGS[axes]), 2, TOLERANCE)
        diagonal = np.linalg.norm(np.multiply(truth.shape, SPACINGS[axes]))
        for own, (dice, near, far, quality) in zip(found, STORED[f"{axes}-{seed}"], strict=True):
            far = far if np.isfinite(far) or np.isnan(near) else diagonal
            np.testing.assert_allclose(own[:3], [dice, near, far], rtol=1e-5)  # single precision
            matched, lesions, regions = own[3:]
            assert 2 * matched / max(lesions + regions, 1) == pytest.approx(quality, abs=2e-6)


@pytest.mark.nightly
@pytest.mark.skipif(not os.environ.get(ALL), reason="MONAI takes long to import")
def test_the_stored_values_are_what_monai_says_now() -> None:
    pytest.importorskip("monai")
    for name, now in written().items():
        np.testing.assert_allclose(np.array(now), np.array(STORED[name]), rtol=1e-5, err_msg=name)


def test_what_is_undefined_where_a_label_is_absent() -> None:
    """3 x 4 mm: neither has `b` in the first patient; it is said alone in the second, and missed in the third."""
    full, none = [[0, 2, 2, 0]] * 3, [[0, 0, 0, 0]] * 3
    truth, said = [text(none), text(none), text(full)], [text(none), text(full), text(none)]
    scored = scored_of("mask", frame_of(said), outcome_of(truth), LABELS, None)
    each = [by_label(scored, np.eye(3)[[k]])[:, 1, 0] for k in range(3)]
    np.testing.assert_allclose(each[0][:4], [np.nan] * 4)
    np.testing.assert_allclose(each[1][:4], [np.nan, 0, 5, np.nan])
    np.testing.assert_allclose(each[2][:4], [0, 0, 5, 0])
    assert LABEL_MEASURES[:4] == ("dice", "surface_dice", "hd95", "lesion_f1")
    values = score("mask", frame_of(said), outcome_of(truth), LABELS, min_events=0)
    assert values["dice"][0] == 0 and values["hd95"][0] == 5 and values["lesion_f1"][0] == 0
    nothing = frame_of(said).assign(mask="")
    assert score("mask", nothing, outcome_of(truth), LABELS, min_events=0)["dice"][0] == 0


def test_a_draw_is_the_patients_over_again() -> None:
    pairs = [made(2, seed) for seed in range(6)]
    truth, said = ([text(own, (0.7, 1.3)) for own in side] for side in zip(*pairs, strict=True))
    drawn = np.array([0, 0, 3, 5, 5, 5])
    weights = np.bincount(drawn, minlength=6)[None].astype(float)
    one = score("mask", frame_of(said), outcome_of(truth), LABELS, weights, min_events=0)
    again = [[own[k] for k in drawn] for own in (truth, said)]
    other = score("mask", frame_of(again[1]), outcome_of(again[0]), LABELS, min_events=0)
    for name in ("dice", "surface_dice", "hd95", "lesion_f1", "volume_error", "volume_bias"):
        np.testing.assert_allclose(one[name], other[name], err_msg=name)
    scored = scored_of("mask", frame_of(said), outcome_of(truth), LABELS, None)
    strata = np.array([[0], [0], [-1], [1], [1], [0]])
    rows = [0, 1, 3, 4, 5]
    inside = score("mask", frame_of([said[k] for k in rows]), outcome_of([truth[k] for k in rows]), LABELS)
    np.testing.assert_allclose(dice_within(scored, strata, np.ones((1, 6))), inside["dice"])


def test_a_map_on_another_grid_is_stretched_and_one_of_other_axes_refused() -> None:
    truth = [text(np.kron([[1, 0], [0, 2]], np.ones((4, 4), dtype=int)))] * 5
    small = [text([[1, 0], [0, 2]])] * 5
    assert score("mask", frame_of(small), outcome_of(truth), LABELS)["dice"][0] == 1
    deep = [text(np.ones((2, 2, 2), dtype=int))] * 5
    with pytest.raises(ValueError, match="two axes is held against one of three"):
        score("mask", frame_of(deep), outcome_of(truth), LABELS)
