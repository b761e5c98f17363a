"""What is made of predictions that are numbers, and refuses a model that says a text or draws in images."""

from __future__ import annotations

from chiasm.cohort import Unsupported
from chiasm.models.same_target import FittedFor
from chiasm.targets import kind_of


def require_numbers(model: object, what: str) -> None:
    """Require a model that predicts numbers.

    Args:
        what: what is asked of it, as it begins a sentence.

    Raises:
        Unsupported: it says a text, or draws boxes or label maps.
    """
    if isinstance(model, FittedFor) and kind_of(model.response.kind).has_texts:
        raise Unsupported(
            f"{what} of numbers, and this model says a text: score what it says by `chiasm validate`, or take a class "
            "that stands in the text as the target"
        )
    if isinstance(model, FittedFor) and kind_of(model.response.kind).is_drawn:
        drawn, many = ("boxes", "many") if kind_of(model.response.kind).has_boxes else ("label maps", "much")
        raise Unsupported(
            f"{what} of numbers, and this model draws {drawn}: score what it finds by `chiasm validate`, or take how "
            f"{many} there is of one label as a number to predict"
        )
