"""What is done to a drawn label map: by hand, chosen of held-out patients by their dice, kept in the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.segmentation.tidying import chosen_ways, tidied
from mask_cohorts import opened


def drawn() -> np.ndarray:
    """A ring of the first label with a hole and a speck, and the second beside the hole."""
    codes = np.zeros((12, 12), dtype=np.uint8)
    codes[1:8, 1:8], codes[3:6, 3:6], codes[3, 3], codes[10, 10] = 1, 0, 2, 1
    codes[8, 8] = 1  # across a corner
    return codes


def test_the_largest_part_is_kept_and_holes_are_filled() -> None:
    codes = drawn()
    largest = tidied(codes, ("largest", ""))
    assert largest[10, 10] == 0 and largest[8, 8] == 1 and (largest == 1).sum() == (codes == 1).sum() - 1
    filled = tidied(codes, ("filled", ""))
    assert (filled[3:6, 3:6] != 0).all() and filled[3, 3] == 2 and filled[10, 10] == 1
    both = tidied(codes, ("largest filled", ""))
    assert (both != 0).sum() == 7 * 7 + 1
    np.testing.assert_array_equal(tidied(codes, ("", "")), codes)
    np.testing.assert_array_equal(tidied(codes, ()), codes)
    np.testing.assert_array_equal(tidied(np.zeros((3, 3, 3), int), ("largest filled",)), 0)


def test_what_raises_the_dice_is_done_and_nothing_else() -> None:
    truth = drawn()
    truth[10, 10] = 0
    truth[3:6, 3:6] = np.where(truth[3:6, 3:6] == 0, 1, truth[3:6, 3:6])
    assert chosen_ways([(drawn(), truth)], 2) == ("largest filled", "")
    assert chosen_ways([(drawn(), drawn())], 2) == ("", "")
    two = drawn()
    two[10, 10] = 0
    assert chosen_ways([(drawn(), drawn()), (drawn(), two)], 3) == ("", "", "")  # as often right as wrong: 1 loses less
    assert chosen_ways([(drawn(), np.zeros((12, 12), int))], 2) == ("", "")  # no dice without a truth


def test_a_model_keeps_what_was_chosen(tmp_path: Path) -> None:
    cohort = opened(tmp_path / "shapes", 12)
    model = chiasm.fit(cohort, "unet:width=4,depth=1,crops=1,epochs=1,tidy=held-out", seed=0)
    plain = replace(model, predictor=replace(model.predictor, tidy=()))
    asked = replace(model, predictor=replace(model.predictor, tidy=("largest", "largest filled")))
    asked.save(tmp_path / "model")
    said = asked.predict(cohort)
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    assert (said[["volume_disc"]].to_numpy() <= plain.predict(cohort)[["volume_disc"]].to_numpy()).all()
    with pytest.raises(ValueError, match="of each label"):
        replace(model.predictor, tidy=("smallest", ""))
    with pytest.raises(ValueError, match="tidy"):
        chiasm.fit(cohort, "unet:tidy=always", seed=0)
