"""P36: `predict` writes finite numbers, and probabilities between 0 and 1, or raises; impossible parts are refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from archived import ARCHIVE
from chiasm import artifact
from chiasm.artifact.files import digest, sha256
from chiasm.fitting.model import FittedModel
from chiasm.fitting.possible import ImpossiblePrediction, require_possible
from chiasm.heads.response import Response
from chiasm.limits import HORIZONS
from chiasm.recipes.registry import bring

MODELS = ARCHIVE / "0.1.0" / "models"
SURVIVAL, CLASSES, OMICS, NETWORK = (
    "03-single-survival", "00-single-classification", "04-single-classification", "27-healnet-classification",
)  # fmt: skip
Change = Callable[[Any, dict[str, np.ndarray]], None]


def changed(tmp_path: Path, name: str, change: Change) -> Path:
    """A model folder after `change(tree, arrays)`, with the right hashes."""
    folder = tmp_path / name
    shutil.copytree(MODELS / name, folder)
    document = json.loads((folder / "model.json").read_text())
    arrays = {key: value.copy() for key, value in load_file(folder / "weights.safetensors").items()}
    change(document["model"], arrays)
    save_file(arrays, folder / "weights.safetensors")
    document["weights_sha256"] = sha256(folder / "weights.safetensors")
    document["sha256"] = digest(document)
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def part(tree: Any, kind: str) -> Any:
    """The first part of a kind in a stored tree."""
    waiting = [tree]
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, dict):
            if node.get("$kind") == kind:
                return node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node
    raise AssertionError(f"no {kind}")


def put(kind: str, field: str, value: Any) -> Change:
    def change(tree: Any, arrays: dict[str, np.ndarray]) -> None:
        part(tree, kind)[field] = value

    return change


def fill(kind: str, field: str, how: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(tree: Any, arrays: dict[str, np.ndarray]) -> None:
        key = part(tree, kind)[field]["$array"]
        arrays[key] = np.ascontiguousarray(how(arrays[key]))

    return change


def first(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def how(array: np.ndarray) -> np.ndarray:
        array.reshape(-1)[0] = value
        return array

    return how


IMPOSSIBLE: dict[str, tuple[str, Change]] = {
    "a NaN coefficient": (SURVIVAL, fill("linear", "coef", first(np.nan))),
    "an infinite coefficient": (SURVIVAL, fill("linear", "coef", first(np.inf))),
    "a NaN intercept": (CLASSES, fill("linear", "intercept", first(np.nan))),
    "coefficients of another shape": (CLASSES, fill("linear", "coef", lambda own: own[:, :1])),
    "coefficients in one row": (CLASSES, fill("linear", "coef", lambda own: own.reshape(-1))),
    "an unknown kind of linear model": (SURVIVAL, put("linear", "kind", "poisson")),
    "a negative hazard": (SURVIVAL, fill("response", "hazard", lambda own: own - 5.0)),
    "a falling hazard": (SURVIVAL, fill("response", "hazard", lambda own: own[::-1])),
    "a NaN hazard": (SURVIVAL, fill("response", "hazard", first(np.nan))),
    "fewer hazards than times": (SURVIVAL, fill("response", "hazard", lambda own: own[:-1])),
    "unsorted event times": (SURVIVAL, fill("response", "event_times", lambda own: own[::-1])),
    "an event time twice": (SURVIVAL, fill("response", "event_times", lambda own: np.full_like(own, 3.0))),
    "a NaN horizon": (SURVIVAL, put("response", "times", [float("nan")])),
    "a falling horizon": (SURVIVAL, put("response", "times", [5.0, 2.0])),
    "a negative horizon": (SURVIVAL, put("response", "times", [-1.0])),
    "too many horizons": (SURVIVAL, put("response", "times", [float(k) for k in range(HORIZONS + 2)])),
    "an unknown kind of response": (SURVIVAL, put("response", "kind", "counts")),
    "a slope of zero": (SURVIVAL, put("response", "slope", 0.0)),
    "a negative slope": (SURVIVAL, put("response", "slope", -1.0)),
    "an infinite slope": (SURVIVAL, put("response", "slope", float("inf"))),
    "a number that overflows": (SURVIVAL, put("response", "centre", 10**400)),
    "a target of an unknown kind": (SURVIVAL, lambda tree, arrays: part(tree, "model")["target"].update(kind="counts")),
    "a target of another kind": (
        SURVIVAL,
        lambda tree, arrays: part(tree, "model")["target"].update(kind="regression"),
    ),
    "a target without a kind": (CLASSES, lambda tree, arrays: part(tree, "model")["target"].pop("kind")),
    "a class twice": (CLASSES, put("response", "classes", ["a", "a"])),
    "no classes": (CLASSES, put("response", "classes", [])),
    "too many intercepts": (CLASSES, lambda tree, arrays: _intercepts(tree, arrays)),
    "a scale of zero": (CLASSES, fill("scaler", "scale", first(0.0))),
    "a negative scale": (CLASSES, fill("scaler", "scale", first(-1.0))),
    "a NaN median": (CLASSES, fill("scaler", "median", first(np.nan))),
    "too few medians": (CLASSES, fill("scaler", "median", lambda own: own[:-1])),
    "a rank of no column": (CLASSES, fill("scaler", "ranked", lambda own: own + 99)),
    "falling quantiles": (OMICS, fill("scaler", "knots", lambda own: own[::-1])),
    "a tail of 1": (OMICS, put("scaler", "tail", 1.0)),
    "a tail of 0": (OMICS, put("scaler", "tail", 0.0)),
    "NaN components": (NETWORK, fill("projection", "components", first(np.nan))),
    "a projection's scale of zero": (NETWORK, put("projection", "scale", 0.0)),
    "a NaN weight of a network": (NETWORK, lambda tree, arrays: _spoil_network(tree, arrays, np.nan)),
    "an infinite weight of a network": (NETWORK, lambda tree, arrays: _spoil_network(tree, arrays, np.inf)),
    "a network's scale of zero": (NETWORK, put("network", "scale", 0.0)),
    "a NaN centre": (NETWORK, put("network", "centre", float("nan"))),
}


def _intercepts(tree: Any, arrays: dict[str, np.ndarray]) -> None:
    arrays["more"] = np.ones((3, 4))
    part(tree, "response")["intercept"] = {"$array": "more"}


def _spoil_network(tree: Any, arrays: dict[str, np.ndarray], value: float) -> None:
    state = part(tree, "network")["state"]
    key = next(own["$array"] for own in state.values() if arrays[own["$array"]].dtype.kind == "f")
    arrays[key].reshape(-1)[0] = value


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_a_folder_with_an_impossible_part_is_refused(what: str, tmp_path: Path) -> None:
    name, change = IMPOSSIBLE[what]
    folder = changed(tmp_path, name, change)
    with pytest.raises(artifact.ArtifactError) as caught:
        artifact.load(folder, bring=bring)
    said = str(caught.value)
    words = r"that cannot be: |its training diverged|wrong type|is not JSON|is not finite|over 64 bits"
    assert re.search(words, said), said


def test_the_change_alone_refuses_nothing(tmp_path: Path) -> None:
    """A folder that was written again without a change opens."""
    for name in (SURVIVAL, CLASSES, OMICS, NETWORK):
        assert isinstance(artifact.load(changed(tmp_path, name, lambda tree, arrays: None), bring=bring), FittedModel)


ODD = {
    "prediction": [1e308, np.inf],
    "p_yes": [0.5, 1.5],
    "p_no": [0.0, np.nan],
    "survival_12": [1.0, 2.69],
    "survival_24": [0.1, -0.1],
    "risk": [-700.0, np.nan],
}


@pytest.mark.parametrize("column", ODD)
def test_what_cannot_be_is_raised_with_its_rows_and_no_value(column: str) -> None:
    require_possible(pd.DataFrame({column: ODD[column][:1]}), np.array([2]))
    with pytest.raises(ImpossiblePrediction, match=r"1 patient what cannot be.*row 7\)") as caught:
        require_possible(pd.DataFrame({column: ODD[column]}), np.array([2, 7]))
    assert str(ODD[column][1]) not in str(caught.value)


def test_links_of_any_size_give_probabilities() -> None:
    """The response itself never leaves 0 to 1, whatever finite link it is given."""
    links = np.array([-1e308, -1e5, -40.0, 0.0, 40.0, 1e5, 1e308])
    survival = Response("survival", (), (1.0, 3.0), 1.0, 0.0, np.array([0.5, 2.0]), np.array([0.1, 0.7]))
    rows = np.arange(2, 2 + len(links))
    require_possible(survival.frame(links[:, None]), rows)
    for kind in ("classification", "multilabel"):
        two = Response(kind, ("a", "b"), (), 3.0, 0.0, np.zeros(0), np.zeros(0))
        with np.errstate(over="ignore"):
            finite = np.clip(links, -1e300, 1e300)
        require_possible(two.frame(np.stack([finite, -finite], 1)), rows)
