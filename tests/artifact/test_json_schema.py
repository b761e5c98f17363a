"""The JSON Schemas of the package are those of the code: they say yes where it does, and no to a wrong type."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import json_schemas
from archived import ARCHIVE, RELEASES
from chiasm import artifact
from chiasm.artifact.json_schema import NAMES, shipped
from chiasm.evaluation.document import is_sound
from chiasm.recipes.registry import bring

SMALL = ARCHIVE / "0.1.0" / "models" / "03-single-survival"


@pytest.fixture(scope="module")
def model() -> Any:
    return jsonschema_rs.validator_for(shipped("model"))


@pytest.mark.parametrize("name", NAMES)
def test_the_package_has_the_schema_of_the_code(name: str) -> None:
    """Where this fails: `make kinds`."""
    assert json_schemas.file_of(name).read_text("utf-8") == json_schemas.made(name)


def test_every_stored_model_is_one_by_the_schema(model: Any) -> None:
    folders = [folder for release in RELEASES for folder in [*(release / "models").iterdir(), release / "parts"]]
    assert len(folders) > 70
    for folder in folders:
        faults = list(model.iter_errors(json.loads((folder / "model.json").read_bytes())))
        assert not faults, f"{folder.name}: {faults[0].message[:200]}"


def wrong(node: Any) -> Iterator[tuple[str, Any]]:
    """A stored tree with one field of a part left out, added, or of another type, place after place."""
    if isinstance(node, dict):
        for key, own in node.items():
            rest = {name: value for name, value in node.items() if name != key}
            if "$kind" in node and key != "$kind":
                yield f"without {key}", rest
                yield f"{key} as a text in a list", {**node, key: [["x"]]}
                yield f"{key} as a truth value", {**node, key: True}
            yield from ((f"{key}: {what}", {**node, key: changed}) for what, changed in wrong(own))
        if "$kind" in node:
            yield "more", {**node, "more": 1}
            yield "another kind", {**node, "$kind": "scaler"}
    elif isinstance(node, list):
        for place, own in enumerate(node):
            yield from (
                (f"{place}: {what}", [*node[:place], changed, *node[place + 1 :]]) for what, changed in wrong(own)
            )


def test_what_the_schema_refuses_is_refused_when_it_is_read(model: Any, tmp_path: Path) -> None:
    """And the other way round, but for what a class asks of its own values, which no schema says."""
    sound = json.loads((SMALL / "model.json").read_bytes())
    folder = tmp_path / "model"
    shutil.copytree(SMALL, folder)
    counts = {"both": 0, "neither": 0, "code alone": 0}
    for what, tree in wrong(sound["model"]):
        document = {**sound, "model": copy.deepcopy(tree)}
        document["sha256"] = artifact.files.digest(document)
        (folder / "model.json").write_text(json.dumps(document))
        valid = model.is_valid(document)
        try:
            artifact.load(folder, bring=bring)
            said = ""
        except artifact.ArtifactError as error:
            said = str(error)
        assert valid or said, f"{what}: the schema refuses it, and it is read"
        typed = "wrong type" in said or "unknown or missing" in said
        assert not (valid and typed), f"{what}: {said}"
        counts["both" if not valid else "code alone" if said else "neither"] += 1
    assert counts["both"] > 60 and counts["neither"] > 3


def test_a_trial_is_one_by_its_schema_and_by_the_code(fake_document: dict[str, Any]) -> None:
    trial = jsonschema_rs.validator_for(shipped("trial"))
    assert trial.is_valid(fake_document) and is_sound(fake_document)
    tried = 0
    for what, changed in changes(fake_document):
        assert trial.is_valid(changed) == is_sound(changed), what
        tried += not is_sound(changed)
    assert tried > 30


def changes(node: Any) -> Iterator[tuple[str, Any]]:
    """A document with one key left out or of another type, place after place."""
    if isinstance(node, dict):
        for key, own in node.items():
            yield f"without {key}", {name: value for name, value in node.items() if name != key}
            for other in ("x", 1.5, None, [1], {"x": []}):
                if key != "schema":
                    yield f"{key} as {other}", {**node, key: other}
            yield from ((f"{key}: {what}", {**node, key: changed}) for what, changed in changes(own))
    elif isinstance(node, list) and node:
        yield from ((what, [changed, *node[1:]]) for what, changed in changes(node[0]))


@pytest.fixture(scope="module")
def fake_document() -> dict[str, Any]:
    """A trial's document, as small as it can be."""
    estimate = {"mean": 0.5, "low": None, "high": 0.75}
    return {
        "schema": 2,
        "cohort": {
            "name": "made up",
            "patients": 9,
            "target": {"kind": "classification", "columns": ["a"], "classes": ["no", "yes"]},
            "modalities": {"m": {"kind": "table", "present": 9}},
            "sites": None,
        },
        "protocol": {"test_folds": 3, "draws": 100, "seed": 0, "by": None, "margin": 0.01},
        "recipes": [{"name": "r", "metric": "auroc", **estimate, "metrics": {"auroc": estimate}, "options": {"a": 1}}],
        "findings": [{"severity": "warning", "what": "w", "fix": "f", "row": None}],
        "contrasts": [{"recipe": "r", "against": "s", "outcome": "alike", "difference": 0.0, "low": None, "high": 1}],
        "verdict": {
            "outcome": "pays", "sentence": "s", "difference": 1.0, "low": None, "high": 2.0, "coverage": [None, 1.0],
            "combining": [1.0], "best_single": "r", "best_fused": "s",
        },
    }  # fmt: skip
