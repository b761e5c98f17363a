"""Pieces of an exported graph give what the fitted parts give: ranks, quantiles, words, trees, incidences."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from chiasm.encoders.table.scaling import Scaler
from chiasm.encoders.table.table import TableEncoder
from chiasm.heads.response import Response
from chiasm.linear.boosted_trees import BoostedTrees
from chiasm.linear.forest import Forest
from chiasm.models.export.checking import session_of
from chiasm.models.export.columns import scaled
from chiasm.models.export.encoders import features, unscaled
from chiasm.models.export.graph import Graph, Value
from chiasm.models.export.inputs import Form, Reading
from chiasm.models.export.kinds import KINDS_IN_ONNX
from chiasm.models.export.normal_score import normal_quantile
from chiasm.models.export.trees import boosted, leaf_sums

OUT = "out"


def ran(graph: Graph, value: Value, path: Path, **given: Any) -> np.ndarray:
    """What onnxruntime gives for a value of a graph."""
    graph.output(OUT, value, np.float64, ["patients", "columns"])
    path.write_bytes(graph.model({}).SerializeToString())
    found: np.ndarray = session_of(path).run([OUT], {name.replace("__", "."): own for name, own in given.items()})[0]
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "graph.onnx"


def test_the_normal_quantile_is_that_of_scipy(path: Path) -> None:
    graph = Graph()
    p = np.concatenate([np.linspace(1e-10, 1 - 1e-10, 2001), 10.0 ** -np.arange(1, 11)])[:, None]
    found = ran(graph, normal_quantile(graph.input("p", np.float64, ["patients", 1])), path, p=p)
    np.testing.assert_allclose(found, ndtri(p), rtol=1e-13, atol=1e-14)


def test_columns_are_scaled_as_at_fit_ties_quantiles_gaps_and_infinities_too(path: Path) -> None:
    rng = np.random.default_rng(0)
    many = np.round(rng.normal(size=200), 1)  # several quantiles are one value
    many[:60] = many.min()
    frame = pd.DataFrame(
        {"many": many, "fine": rng.normal(size=200), "two": many > 0, "grade": np.arange(200) % 5, "one": 3}
    )
    frame = frame.astype(float)
    scaler = Scaler.fit(frame)
    assert (np.diff(scaler.knots, axis=0) == 0).any()
    new = pd.concat([frame, frame * 3 - 1], ignore_index=True)
    new.loc[400] = [np.nan] * 5
    new.loc[401] = [np.inf] * 5
    new.loc[402] = [*scaler.knots[32], 0.5, 2, 3]
    graph = Graph()
    reading = Reading.of(graph, {"m": Form("table", numbers=tuple(frame))})
    given = {"m__present": np.ones(len(new), bool), "m__numbers": new.to_numpy()}
    np.testing.assert_allclose(ran(graph, scaled(reading, "m", scaler), path, **given), scaler(new), atol=1e-12)


def test_words_are_met_as_they_are_written_or_as_whole_numbers_are(path: Path) -> None:
    frame = pd.DataFrame({"site": ["1", "2", "x", "1", "2", "x", None, "1"], "n": np.arange(8.0)})
    encoder = TableEncoder().fit(frame)
    assert (encoder.categories or {}).keys() == {"site"}
    new = pd.DataFrame({"site": ["1", "1.0", "2.0", "x", "x.0", "3", None, "2.00"], "n": [1.0, *[np.nan] * 7]})
    graph = Graph()
    form = Form("table", numbers=("n",), words={"site": (encoder.categories or {})["site"]})
    reading = Reading.of(graph, {"m": form})
    present = np.arange(8) != 3
    given = {"m__present": present, "m__numbers": new[["n"]].to_numpy()}
    given["m__words"] = new[["site"]].fillna("").to_numpy(object)
    found = ran(graph, features(reading, "m", encoder), path, **given)
    np.testing.assert_allclose(found[present], encoder.features(new)[present], atol=1e-12)
    assert (found[3] == 0).all()  # who lacks it, whatever stands there
    other = Graph()
    reading = Reading.of(other, {"m": form})
    own = ran(other, unscaled(encoder, reading, "m"), path, **given)
    assert np.isnan(own[3]).all() and np.isnan(own[6, 1:]).all() and own[1, 1] == 1 and own[4, 1:].sum() == 0


def hand_made(values: int) -> tuple[dict[str, Any], np.ndarray]:
    """Three trees, the second without a split, and columns of patients, on thresholds and beside them."""
    value = np.zeros((9, values))
    value[[2, 3, 4, 5, 7, 8]] = np.random.default_rng(1).normal(size=(6, values))
    nodes: dict[str, Any] = {
        "start": np.array([0, 5, 6]),
        "feature": np.array([0, 1, -1, -1, -1, -1, 1, -1, -1]),
        "threshold": np.array([0.1, -1.0, 0, 0, 0, 0, 2.5, 0, 0], np.float32),
        "left": np.array([1, 2, -1, -1, -1, -1, 7, -1, -1]),
        "right": np.array([4, 3, -1, -1, -1, -1, 8, -1, -1]),
        "value": value,
    }
    x = np.array([[0.1, -1.0], [np.float32(0.1), 2.5], [0.0, -2.0], [0.0, 3.0], [5.0, 0.0], [1e40, -1e40]])
    return nodes, x


@pytest.mark.parametrize("paired", [False, True])
def test_boosted_trees_give_their_own_link(paired: bool, path: Path) -> None:
    nodes, x = hand_made(1)
    x = np.concatenate([x, [[np.nan, 1.0], [0.0, np.nan], [np.nan, np.nan]]])
    nodes["value"] = nodes["value"][:, 0]
    missing_left = np.array([True, False, False, False, False, False, True, False, False])
    base, output = np.array([0.2]) if paired else np.array([0.2, -1.0]), np.array([0, 0, 0 if paired else 1])
    trees = BoostedTrees(2, base, output=output, missing_left=missing_left, paired=paired, **nodes)
    graph = Graph()
    found = ran(graph, boosted(graph.input("x", np.float64, ["patients", 2]), trees), path, x=x)
    np.testing.assert_allclose(found, trees.linear_predictor(x), atol=1e-14)


def test_trees_of_several_votes_add_up_as_a_forest_does(path: Path) -> None:
    nodes, x = hand_made(3)
    forest = Forest(2, 4, output=np.array([0, 1, 1]), **nodes)
    x = np.clip(x, -1e30, 1e30)
    for chosen in ([0, 1, 2], [1], [0, 2]):
        serves = np.isin(np.arange(3), chosen)[None].repeat(len(x), 0)
        expected, _ = forest.polled(x.astype(np.float32), serves)
        graph = Graph()
        own = leaf_sums(graph.input("x", np.float64, ["patients", 2]), forest, np.array(chosen), 4)
        np.testing.assert_allclose(ran(graph, own, path, x=x), expected, atol=1e-14)


def test_incidences_are_those_of_the_response_also_where_hazards_exceed_one(path: Path) -> None:
    times = np.array([1.0, 2.0, 3.0, 5.0])
    hazard = np.cumsum([[0.1, 0.0], [0.3, 0.2], [0.9, 0.4], [0.1, 0.1]], axis=0)
    response = Response("competing", ("relapse", "death"), (0.5, 2.0, 4.0), 1.0, 0.0, times, hazard)
    link = np.array([[0.0, 0.0], [2.0, -1.0], [-600.0, 600.0], [-3.0, 1.0]])
    for horizons, apart in product(((0.5, 2.0, 4.0), (0.5,), ()), (False, True)):
        own = replace(response, times=horizons, subdistribution=apart)
        graph = Graph()
        kind = KINDS_IN_ONNX[own.kind]
        found = ran(graph, kind.answers(graph.input("link", np.float64, ["patients", 2]), own), path, link=link)
        np.testing.assert_allclose(found, own.frame(link), atol=1e-12)
