"""Description of the patients of a trial: their flow into the folds, table one, and what of each modality is there."""

from __future__ import annotations

from typing import Any

from chiasm.cohort import Cohort
from chiasm.cohort.characteristics import characteristics
from chiasm.cohort.inventory import flow_of, inventory


def described(everyone: Cohort, used: Cohort) -> dict[str, Any]:
    """Describe the patients for `trial.json`, by aggregates alone.

    In table one and by site counts of one to four, and those from which one would follow, are None; the flow, and how
    many have a modality, are told as they are.

    Args:
        everyone: the cohort as it was given.
        used: the patients of known outcome who have a modality.
    """
    return {
        "flow": flow_of(everyone, used),
        "characteristics": characteristics(used),
        "inventory": inventory(used),
    }
