"""`contextual-fusion`: the laws of a recipe, and a guard that shrinks its branch."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Unsupported
from chiasm.recipes.fusion.contextual_fusion import ContextualFusionRecipe
from chiasm.testing import check_recipe
from small_recipes import mixed, small


def test_it_passes_the_public_check() -> None:
    check_recipe(small("contextual-fusion", guarded="m1", alpha=0.1), kinds=("survival",), n=56)


def test_the_guarded_branch_has_smaller_weights_the_larger_alpha_is() -> None:
    whole, sizes = mixed("classification"), []
    for alpha in (0.0, 0.1, 10.0):
        model = ContextualFusionRecipe(guarded="m2" if alpha else "", alpha=alpha, epochs=8, batch=16).fit(
            whole, seed=0
        )
        sizes.append(float(np.linalg.norm(model.predictor.state["fusion.branches.1.weight"])))
    assert sizes[0] > sizes[1] > sizes[2]


def test_what_cannot_be_guarded_is_refused() -> None:
    with pytest.raises(Unsupported, match="no modality 'm9' to guard"):
        small("contextual-fusion", guarded="m9", alpha=0.1).supports(mixed("classification"))
    with pytest.raises(ValueError, match="alpha is"):
        ContextualFusionRecipe(alpha=-1.0)
    for options in ({"alpha": 0.1}, {"guarded": "m1"}):
        with pytest.raises(ValueError, match="guarded and alpha go together"):
            ContextualFusionRecipe(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'m2' cannot be guarded where 'm1' alone is read"):
        ContextualFusionRecipe(guarded="m2", alpha=0.1, modality="m1")


def test_by_default_nothing_is_guarded_and_a_form_guards_only_the_modality_that_it_reads() -> None:
    assert (ContextualFusionRecipe().guarded, ContextualFusionRecipe().alpha) == ("", 0.0)
    whole = ContextualFusionRecipe(guarded="m2", alpha=0.1)
    assert whole.reading("m1") == ContextualFusionRecipe(modality="m1")
    assert whole.reading("m2") == ContextualFusionRecipe(guarded="m2", alpha=0.1, modality="m2")


def test_patients_are_compared_by_the_features_side_by_side() -> None:
    whole = mixed("classification")
    model = small("contextual-fusion").fit(whole, seed=0)
    assert model.predictor.embedding(whole).shape[1] == sum(
        model.predictor.state[f"fusion.branches.{m}.weight"].shape[1] for m in range(len(whole.modalities))
    )
