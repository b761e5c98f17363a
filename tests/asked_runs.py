"""The document of a trial like that of the demo, with figures of nobody, for questions that a run is asked."""

from __future__ import annotations

from typing import Any

import pandas as pd

from chiasm.evaluation import Trial

RECIPES = {  # name -> (side, what it reads, its score)
    "single:clinical": ("single", ["clinical"], 0.61),
    "single:genes": ("single", ["genes"], 0.67),
    "presence": ("single", [], 0.5),
    "early-fusion": ("combined", ["clinical", "genes"], 0.65),
    "late-fusion": ("combined", ["clinical", "genes"], 0.68),
    "stacked-fusion": ("combined", ["clinical", "genes"], 0.66),
    "healnet": ("combined", ["clinical", "genes"], 0.62),
    "lego-merge": ("combined", ["clinical", "genes"], 0.671),
    "lego-fuse": ("combined", ["clinical", "genes"], 0.63),
    "lego-fuse:mode=weave": ("combined", ["clinical", "genes"], 0.64),
    "lego-merge:modality=clinical": ("single", ["clinical"], 0.6),
    "best-available": ("reference", [], 0.651),
    "null": ("reference", [], 0.5),
}


def estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": round(mean - 0.07, 3), "high": round(mean + 0.08, 3)}


def recipe(name: str, place: int) -> dict[str, Any]:
    side, reads, mean = RECIPES[name]
    metrics = {
        "harrell_c": estimate(mean),
        "uno_c": estimate(mean - 0.011),
        "calibration_slope_t1": estimate(1.2),
        "observed_expected_t1": estimate(0.9),
    }
    return {
        "name": name, "side": side, "reads": reads, "metric": "harrell_c", **estimate(mean), "metrics": metrics,
        "paper": f"The Paper of {name}", "link": "", "options": {"epochs": 40, "dropout": 0.25},
        "seconds": 0.0 if side == "reference" else 10.5 + place % 10, "trained_parameters": 1000 + place,
        "folds": [
            {"repeat": 0, "fold": str(k), "value": round(mean - 0.05 + 0.03 * k, 3)} for k in range(5)
        ],
    }  # fmt: skip


def document() -> dict[str, Any]:
    verdict = {
        "outcome": "cannot tell", "sentence": "These data cannot tell whether combining modalities pays (0.002).",
        "difference": 0.002, "low": -0.143, "high": 0.147, "coverage": [0.0, -0.01, 0.02],
        "combining": [0.003, -0.141, 0.148], "fixed": [-0.014, -0.118, 0.09], "best_single": "single:genes",
        "best_fused": "early-fusion", "single_counts": {"single:genes": 4, "single:clinical": 1},
        "fused_counts": {"early-fusion": 5}, "several": 190, "settle": [400, 85_000], "margin": 0.01,
    }  # fmt: skip
    age = {"column": "age", "kind": "number", "known": [198], "missing": [0], "quartiles": [[42.0, 46.5, 51.0]]}
    levels = [{"name": "high", "patients": [120]}, {"name": "low", "patients": [78]}]
    return {
        "schema": 2,
        "cohort": {
            "name": "made", "patients": 198, "excluded": 3, "groups": None, "sites": None,
            "target": {"kind": "survival", "columns": ["days", "metastasis"], "unit": "days", "events": 51},
            "modalities": {
                "clinical": {"kind": "table", "present": 196}, "genes": {"kind": "omics", "present": 192},
            },
            "patterns": {"clinical": 6, "clinical+genes": 190, "genes": 2},
        },
        "protocol": {
            "test_folds": 5, "draws": 1000, "seed": 7, "folds": 5, "repeats": 1, "inner_folds": 3, "n_train": 158.4,
            "n_test": 39.6,
        },
        "versions": {"Python": "3.11.7", "torch": "2.13.0", "scikit-learn": "1.9.1"},
        "recipes": [recipe(name, place) for place, name in enumerate(RECIPES)],
        "findings": [
            {"severity": "warning", "what": "7 patients identical in every modality", "fix": "", "leak": True,
             "accepted": None},
            {"severity": "warning", "what": "a column is constant", "fix": "", "leak": False, "accepted": None},
        ],
        "contrasts": [
            {"recipe": "healnet", "against": "early-fusion", "outcome": "cannot tell", "difference": -0.03,
             "low": -0.1, "high": 0.04, "sentence": "'healnet' against 'early-fusion': cannot tell (-0.030)."},
        ],
        "verdict": verdict,
        "description": {
            "flow": {"unknown_outcome": 2, "no_modality": 1},
            "characteristics": {"columns": [age, {"column": "grade", "kind": "levels", "levels": levels}]},
        },
    }  # fmt: skip


def made_trial(**changed: Any) -> Trial:
    """A trial of this document; it holds no prediction, which no answer reads."""
    return Trial({**document(), **changed}, pd.DataFrame(), pd.DataFrame())
