"""`contextual-fusion`: the laws of a recipe, and a guard that shrinks its branch."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Unsupported
from chiasm.recipes.fusion.contextual_fusion import ContextualFusionRecipe
from chiasm.testing import check_recipe
from small_recipes import mixed, small


def test_it_passes_the_public_check() -> None:
    check_recipe(small("contextual-fusion", guarded="m1"), kinds=("survival",))


def test_the_guarded_branch_has_smaller_weights_the_larger_alpha_is() -> None:
    whole, sizes = mixed("classification"), []
    for alpha in (0.0, 0.1, 10.0):
        model = ContextualFusionRecipe(guarded="m2", alpha=alpha, epochs=8, batch=16).fit(whole, seed=0)
        sizes.append(float(np.linalg.norm(model.predictor.state["fusion.branches.1.weight"])))
    assert sizes[0] > sizes[1] > sizes[2]


def test_what_cannot_be_guarded_is_refused() -> None:
    with pytest.raises(Unsupported, match="no modality 'm9' to guard"):
        small("contextual-fusion", guarded="m9").supports(mixed("classification"))
    with pytest.raises(ValueError, match="alpha is"):
        ContextualFusionRecipe(alpha=-1.0)
