"""Conformance checks of the design's laws, for custom recipes, encoders and fusions.

    from chiasm.testing import check_recipe
    check_recipe(MyRecipe())

Each raises AssertionError with the law that does not hold and the observation. All components of chiasm pass them.
"""

from chiasm.testing.adaptation import check_adaptation
from chiasm.testing.encoder import check_encoder
from chiasm.testing.fusion import check_fusion
from chiasm.testing.recipe import check_recipe

__all__ = ["check_adaptation", "check_encoder", "check_fusion", "check_recipe"]
