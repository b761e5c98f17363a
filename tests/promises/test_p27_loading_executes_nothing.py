"""P27: loading a model executes nothing of what it holds; a description is data that a schema checks.

Every place of a description is filled with code, by day a fifth of them, in a process that records what Python opens,
compiles, imports and starts meanwhile.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from chiasm import artifact
from chiasm.cohort import synthetic_cohort
from chiasm.recipes.registry import make_recipe
from examples import ALL
from young_process import run_young

WATCHED = """\
import json, os, sys, warnings
import chiasm
from chiasm import artifact
chiasm.load_model(sys.argv[1])  # what is imported lazily is imported now
events = []
def note(event, arguments):
    if event in {"os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "import",
                 "pickle.find_class", "ctypes.dlopen", "marshal.loads", "os.remove", "os.rename", "shutil.rmtree"}:
        events.append([event, str(arguments)[:200]])
    elif event == "open":
        events.append([event, str(arguments[0])])
    elif event == "compile" and "canary" in str(arguments):
        events.append([event, str(arguments)[:200]])
sys.addaudithook(note)
outcomes = {}
for place in sys.argv[2:]:
    events.clear()
    try:
        outcome = type(artifact.load(place)).__name__  # as load_model does, once the recipes are registered
    except artifact.ArtifactError as error:
        outcome = "refused"
    outcomes[place] = [outcome, list(events)]
print(json.dumps(outcomes))
"""


def code(canary: Path) -> str:
    return f"__import__('pathlib').Path({str(canary)!r}).write_text('canary')"


class Opens:
    """Unpickled, it writes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.write_text, (self.canary, "canary"))


def spoilt(node: Any, text: str) -> Iterator[Any]:
    """The tree with one text, key or list replaced by code, place after place."""
    if isinstance(node, str):
        yield text
        yield {"__reduce__": [text], "$kind": text}
        yield {"$kind": "os.system", "command": text}
        yield {"__reduce__": ["os.system", text]}
        yield {"__class__": text, "__init__": text}
    elif isinstance(node, dict):
        for key in node:
            yield {**{k: v for k, v in node.items() if k != key}, text: node[key]}
            yield from ({**node, key: changed} for changed in spoilt(node[key], text))
    elif isinstance(node, list) and node:
        yield from ([changed, *node[1:]] for changed in spoilt(node[0], text))


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Where the canary would sit, and what loading each hostile folder did."""
    root = tmp_path_factory.mktemp("hostile")
    canary, good = root / "canary", root / "good"
    make_recipe("lego-merge:epochs=1,latents=4,latent_width=4,heads=1").fit(
        synthetic_cohort("unique", 40), seed=0
    ).save(good)
    document = json.loads((good / "model.json").read_text())
    weights = (good / "weights.safetensors").read_bytes()
    places = []

    def add(description: bytes, arrays: bytes) -> None:
        place = root / f"h{len(places)}"
        place.mkdir()
        (place / "model.json").write_bytes(description)
        (place / "weights.safetensors").write_bytes(arrays)
        places.append(str(place))

    for tree in islice(spoilt(document["model"], code(canary)), 0, None, 1 if os.environ.get(ALL) else 5):
        body = {**document, "model": tree}
        add(json.dumps({**body, "sha256": artifact.files.digest(body)}).encode(), weights)
    for key in ("schema", "weights_sha256", "sha256"):
        add(json.dumps({**document, key: code(canary)}).encode(), weights)
    bomb = pickle.dumps(Opens(canary))
    for description, arrays in ((bomb, weights), (code(canary).encode(), weights), (b"", bomb)):
        add(description, arrays)
    for arrays in (bomb, b"PK\x03\x04" + bomb):
        (root / "weights").write_bytes(arrays)
        body = {**document, "weights_sha256": artifact.files.sha256(root / "weights")}
        add(json.dumps({**body, "sha256": artifact.files.digest(body)}).encode(), arrays)
    found = run_young(WATCHED, str(good), str(good), *places)
    assert found.returncode == 0, found.stderr[-2000:]
    return canary, json.loads(found.stdout)


def test_the_canary_would_be_seen(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Opens(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_no_code_runs_and_only_the_two_files_are_opened(outcomes: tuple[Path, dict[str, Any]]) -> None:
    canary, found = outcomes
    assert len(found) > 100 and not canary.exists()
    for place, (_, events) in found.items():
        own = {place, "model.json", "weights.safetensors"}  # the folder, and by its handle the two files
        assert [event for event in events if event[0] != "open" or event[1] not in own] == []


def test_what_is_no_text_field_is_refused(outcomes: tuple[Path, dict[str, Any]]) -> None:
    counts: dict[str, int] = {}
    for outcome, _ in outcomes[1].values():
        counts[outcome] = counts.get(outcome, 0) + 1
    # A name may be any text, it is only ever shown; without a '$kind' it is a mapping, which `load_model` refuses.
    assert set(counts) == {"FittedModel", "dict", "refused"}
    assert counts["refused"] > counts["FittedModel"]
