"""`centre-shift`: the centres coincide on the patients trained on, the strength counts, nobody held out is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.encoders import columns_among
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.fusion.pooled import one_vector
from chiasm.recipes.fusion.centre_shift import CentreShiftDesign, CentreShiftRecipe
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from small_recipes import mixed, small


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 60, missing=0.2)


def shifted(cohort: Cohort, strength: float) -> dict[str, torch.Tensor]:
    """What the network's map reads of each modality of the patients trained on, before the second normalisation."""
    data = prepare(trainable(cohort, 0, None, "cpu"))
    shift = CentreShiftRecipe(strength=strength).shift_of(data)
    module = CentreShiftDesign(shift, 4, columns_among(data.encoders)).fusion(data.shapes)
    found = {}
    for m, name in enumerate(module.names):
        rows = np.flatnonzero(data.present[:, m] & ~data.held_out)
        own = torch.nn.functional.normalize(one_vector(data.tokens[name].take(rows), module.width, True), dim=1)
        found[name] = own - module.get_buffer("moves")[m]
    return found


def test_it_passes_the_public_check() -> None:
    check_recipe(small("centre-shift"), kinds=("classification",), n=56)


def test_the_centres_of_the_patients_trained_on_coincide_at_full_strength_only(cohort: Cohort) -> None:
    gaps = [float((own["m1"].mean(0) - own["m2"].mean(0)).norm()) for own in (shifted(cohort, s) for s in (0, 0.5, 1))]
    assert gaps[0] > 1e-3 and gaps[1] == pytest.approx(gaps[0] / 2, rel=1e-3) and gaps[2] < 1e-6


def test_the_held_out_and_the_absent_have_no_part_in_the_centres(cohort: Cohort) -> None:
    data = prepare(trainable(cohort, 0, None, "cpu"))
    recipe = CentreShiftRecipe()
    kept = data.subset(np.flatnonzero(~data.held_out))
    for name, centre in recipe.shift_of(data).centres.items():
        np.testing.assert_array_equal(centre, recipe.shift_of(kept).centres[name])


def test_an_absent_modality_is_zeros_whatever_stands_behind_it(cohort: Cohort) -> None:
    data = prepare(trainable(cohort, 0, None, "cpu"))
    module = (
        CentreShiftDesign(CentreShiftRecipe().shift_of(data), 4, columns_among(data.encoders))
        .fusion(data.shapes)
        .eval()
    )
    tokens = {name: packed.take(np.arange(6)) for name, packed in data.tokens.items()}
    present = torch.tensor([[True, False]] * 6)
    behind = tokens | {"m2": Tokens(torch.full_like(tokens["m2"].values, float("nan")), tokens["m2"].mask)}
    with torch.no_grad():
        one, other = (module(own, present).embedding for own in (tokens, behind))
    assert torch.equal(one, other) and bool(torch.isfinite(one).all())


def test_widths_that_differ_are_filled_and_the_strength_changes_the_model() -> None:
    whole = mixed("classification")
    frames = [small("centre-shift", strength=own).fit(whole, seed=0).predict(whole) for own in (0.0, 1.0)]
    assert np.abs(frames[0]["p_yes"] - frames[1]["p_yes"]).max() > 1e-6
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            CentreShiftRecipe(strength=wrong)
    assert make_recipe("centre-shift:strength=0.5").strength == 0.5  # type: ignore[attr-defined]


def test_columns_of_a_table_are_coordinates_and_are_not_averaged() -> None:
    whole = synthetic_cohort("redundant", 240, seed=0)
    new = np.arange(240) % 3 == 0
    assert whole.outcome is not None
    model = make_recipe("centre-shift:modality=m1").fit(whole.subset(~new), seed=0)
    found = model.predict(whole.subset(new)).loc[whole.ids[new]]
    assert roc_auc_score(whole.outcome.value[new], found["p_1"]) > 0.8  # one half, where a mean mixes the columns
