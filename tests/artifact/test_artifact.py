"""A model on disk: it comes back as it was, and anything else is refused in a sentence."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chiasm
from chiasm import artifact, limits
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort
from chiasm.protocols import Model
from chiasm.recipes.registry import make_recipe
from examples import examples
from young_process import run_young

SMALL = ["single:m1", "stacked-fusion", "lego-merge:epochs=1,latents=4,latent_width=8,heads=2"]


def describe(folder: Path, change: Any, *, sealed: bool = True) -> None:
    """Rewrite model.json after `change`, with the hash that an attacker would give it."""
    document = json.loads((folder / "model.json").read_text())
    change(document)
    if sealed:
        document["weights_sha256"] = artifact.files.sha256(folder / "weights.safetensors")
        document["sha256"] = artifact.files.digest(document)
    (folder / "model.json").write_text(json.dumps(document))


def refused(folder: Path, *words: str) -> str:
    """The one sentence with which a folder is refused: it says what, and reads like no traceback."""
    with pytest.raises(ArtifactError) as caught:
        chiasm.load_model(folder)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert len(message) < 400 and "\n" not in message and "Traceback" not in message and "<class" not in message
    assert str(folder.parent) not in message
    return message


def test_a_model_folder_is_two_files_and_a_card(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == ["card.md", "model.json", "weights.safetensors"]
    assert sorted(file.name for file in folder.parent.iterdir()) == ["model"]


def test_a_new_process_predicts_the_same(cohort: Cohort, tmp_path: Path) -> None:
    models = [make_recipe(recipe).fit(cohort, seed=0) for recipe in SMALL]
    for number, model in enumerate(models):
        model.save(tmp_path / str(number))
    script = (
        "import sys, chiasm\n"
        "from chiasm.cohort import synthetic_cohort\n"
        "cohort = synthetic_cohort('complementary', 60, target='survival', missing=0.2)\n"
        "for place in sys.argv[1:]:\n"
        "    chiasm.load_model(place).predict(cohort).to_parquet(place + '.parquet')\n"
    )
    places = [str(tmp_path / str(number)) for number in range(len(models))]
    done = run_young(script, *places)
    assert done.returncode == 0, done.stderr
    for place, model in zip(places, models, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(f"{place}.parquet"), model.predict(cohort), check_exact=True)


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_or_linked_file_is_refused(folder: Path, name: str) -> None:
    shutil.move(folder / name, folder.parent / name)
    refused(folder, name, "missing or a link")
    (folder / name).symlink_to(folder.parent / name)
    refused(folder, name, "missing or a link")


@pytest.mark.parametrize("where", ["model", "model.json", "weights.safetensors"])
def test_what_the_system_does_not_let_be_read_is_refused(
    folder: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder, its description, its weights; the mode of a file says nothing to whoever runs this as root."""

    allowed = os.open

    def forbidden(path: Any, *rest: Any, **more: Any) -> int:
        if Path(path).name == where:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return allowed(path, *rest, **more)

    def checkpoint() -> None:
        artifact.load_checkpoint(folder / "weights.safetensors")

    monkeypatch.setattr(os, "open", forbidden)
    refused(folder, f"'{folder.name}' may not be read by you", "ask for a copy")
    for read in (lambda: artifact.outline(folder), lambda: artifact.identity(folder), checkpoint):
        with suppress(ArtifactError):  # nothing else; not each of them opens each of the files
            read()


def test_a_place_without_a_model_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "'nowhere' is not a model folder")
    (tmp_path / "file").write_text("text")
    refused(tmp_path / "file", "'file' is not a model folder")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=99), ("schema 99", "reads 1", "install the chiasm that wrote it")),
        (lambda d: d.update(schema="x" * 10_000), ("schema of another kind",)),
        (lambda d: d.pop("schema"), ("not the description of a chiasm model",)),
        (lambda d: d.update(extra=1), ("not the description of a chiasm model",)),
        (lambda d: d["model"].update({"$kind": "os.system"}), ("unknown kind",)),
        (lambda d: d["model"].update({"$kind": ["model"]}), ("unknown kind",)),
        (lambda d: d["model"].update({"$kind": "builtins.eval"}), ("unknown kind",)),
        (lambda d: d["model"].update(surprise=1), ("'model' whose field 'surprise'",)),
        (lambda d: d["model"].update({"s" * 10_000: 1}), ("whose field 'sss",)),
        (lambda d: d["model"].pop("recipe"), ("'model' whose field 'recipe'",)),
        (lambda d: d["model"].update(recipe=7), ("field 'recipe' has the wrong type",)),
        (lambda d: d["model"].update(has_prior="yes"), ("field 'has_prior' has the wrong type",)),
        (lambda d: d["model"].update(modalities={"m1": 3}), ("field 'modalities' has the wrong type",)),
        (lambda d: d["model"]["response"].update(slope=True), ("field 'slope' has the wrong type",)),
        (lambda d: d["model"]["response"].update(times="soon"), ("field 'times' has the wrong type",)),
        (lambda d: d["model"]["response"].update(hazard=[1, 2]), ("field 'hazard' has the wrong type",)),
        (lambda d: d["model"]["response"].update(hazard={"$array": "none"}), ("array that its weights do not hold",)),
        (lambda d: d["model"]["response"].update(hazard={"$array": [1]}), ("array that its weights do not hold",)),
        (lambda d: d.update(model=d["model"]["response"]), ("holds one that nothing refers to",)),
        (lambda d: d.update(model=None), ("holds one that nothing refers to",)),
        (lambda d: d["model"]["target"].update(more=d["model"]["response"]["hazard"]), ("or to one twice",)),
        (lambda d: d["model"]["target"].update(more=2**64), ("model.json' holds a whole number of over 64 bits",)),
        (lambda d: d["model"]["target"].update(more=float("nan")), ("model.json' holds a number that is not finite",)),
        (lambda d: d.update({"$schema": "urn:chiasm:schema:model:2"}), ("not the description of a chiasm model",)),
        (lambda d: d.update(facts={"recipe": "x"}), ("facts that chiasm does not write",)),
        (lambda d: d.update(facts={"trained_parameters": True}), ("facts that chiasm does not write",)),
        (lambda d: d.update(facts={"packages": {"numpy": [1]}}), ("facts that chiasm does not write",)),
        (lambda d: d.update(model=[d["model"]]), ("a part of a model, not a model",)),
    ],
)
def test_a_description_that_does_not_fit_is_refused(folder: Path, change: Any, words: tuple[str, ...]) -> None:
    describe(folder, change)
    refused(folder, *words)


def test_a_changed_number_is_refused_by_its_hash(folder: Path) -> None:
    describe(folder, lambda d: d["model"]["response"].update(slope=d["model"]["response"]["slope"] * 2), sealed=False)
    refused(folder, "model.json' does not have the hash")


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"7", b"null", b"\xff\xfe{}", b'{"schema": 1}', b"1" * 6000, b"[" * 200_000, b'{"a":' * 5000,
        b'{"schema": 1, "weights_sha256": "0", "sha256": "0", "model": ' + b"[" * 900 + b"]" * 900 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_description_is_refused(folder: Path, text: bytes) -> None:
    (folder / "model.json").write_bytes(text)
    refused(folder, "model.json")


@pytest.mark.parametrize("depth", [200, 900, 950, 980])
def test_a_tree_nested_too_deep_is_refused(folder: Path, depth: int) -> None:
    tree: Any = {"$kind": "os.system"}
    for _ in range(depth):
        tree = [tree]
    try:
        describe(folder, lambda d: d.update(model=tree))
    except RecursionError:
        pytest.skip("not even the attacker can write it")
    refused(folder)


@pytest.mark.parametrize("keep", [0, 7, 8, 100, -1])
def test_truncated_files_are_refused(folder: Path, keep: int) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    refused(folder, "weights.safetensors", "truncated")
    describe(folder, lambda d: None)
    refused(folder, "weights.safetensors", "truncated")
    description = folder / "model.json"
    description.write_bytes(description.read_bytes()[:keep])
    refused(folder, "model.json")


def header_of(content: dict[str, Any]) -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text


HOSTILE = [
    struct.pack("<Q", 2**30) + b"{}",
    struct.pack("<Q", 2**63) + b"{}",
    struct.pack("<Q", 2**64 - 1) + b"{}" * 100,
    header_of({"a": {"dtype": "F64", "shape": [2**27], "data_offsets": [0, 2**30]}}),
    header_of({"a": {"dtype": "F64", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
    header_of({"a": {"dtype": "F64", "shape": [2**31, 2**31, 4], "data_offsets": [0, 0]}}),
    header_of({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 2**40]}}) + b"\0" * 8,
    header_of({"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}) + b"\0" * 8,
    header_of({"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 8]}}) + b"\0" * 8,
    header_of({"a": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}) + b"\0" * 8,
    header_of({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}, "b": {"dtype": "F64", "shape": [1],
               "data_offsets": [0, 8]}}) + b"\0" * 8,
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_header_that_lies_is_refused(folder: Path, number: int) -> None:
    (folder / "weights.safetensors").write_bytes(HOSTILE[number])
    describe(folder, lambda d: None)
    refused(folder, "weights.safetensors' is truncated or is not safetensors")


def test_no_number_in_a_header_makes_reading_allocate(folder: Path) -> None:
    for number, weights in enumerate(HOSTILE):
        shutil.copytree(folder, folder.with_name(str(number)))
        (folder.with_name(str(number)) / "weights.safetensors").write_bytes(weights)
        describe(folder.with_name(str(number)), lambda d: None)
    script = (
        "import sys, resource, chiasm\n"
        "from chiasm.artifact import ArtifactError\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from chiasm.recipes.catalogue import RECIPES\n"
        "chiasm.load_model; [*RECIPES.values()]; before = peak()\n"
        "for place in sys.argv[1:]:\n"
        "    try:\n        chiasm.load_model(place)\n"
        "    except ArtifactError:\n        continue\n"
        "    sys.exit('loaded')\n"
        "print(peak() - before)\n"
    )
    places = [str(folder.with_name(str(number))) for number in range(len(HOSTILE))]
    found = run_young(script, *places)
    assert found.returncode == 0, found.stderr
    assert int(found.stdout) < 50_000  # kB


def test_a_description_of_a_huge_size_is_not_read(folder: Path) -> None:
    with (folder / "model.json").open("r+b") as file:
        file.truncate(artifact.files.MODEL_JSON_BYTES + 1)  # sparse: takes no disk
    refused(folder, "over the limit of 32 MB")


def test_a_description_of_millions_of_parts_is_not_parsed(folder: Path) -> None:
    """Each of them would take twenty times its bytes in memory, before any hash could be compared."""
    text = (folder / "model.json").read_bytes()
    (folder / "model.json").write_bytes(text[:-2] + b', "x": [' + b"[]," * limits.JSON_PARTS + b"0]}")
    refused(folder, "model.json' has over 2,000,000 parts")


def test_weights_of_a_million_tensors_are_not_opened(folder: Path) -> None:
    own = b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    text = b"{" + b",".join(own % number for number in range(limits.TENSORS + 3)) + b"}"
    (folder / "weights.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    describe(folder, lambda d: None)
    refused(folder, "weights.safetensors' holds over 100,000 tensors")


def test_weights_that_nobody_wrote_are_not_hashed(folder: Path) -> None:
    """A terabyte, and as much as a model may have: of holes, which take no disk and minutes to read."""
    for size, words in ((10**12, "over the limit"), (limits.WEIGHTS_BYTES, "consists of holes")):
        os.truncate(folder / "weights.safetensors", size)
        refused(folder, "weights.safetensors", words)
        with pytest.raises(ArtifactError, match=words):
            artifact.load_checkpoint(folder / "weights.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_a_pipe_is_no_checkpoint_and_no_part_of_a_model(folder: Path) -> None:
    os.mkfifo(folder.parent / "pipe")
    with pytest.raises(ArtifactError, match="and no file"):
        artifact.load_checkpoint(folder.parent / "pipe")
    for name in ("model.json", "weights.safetensors"):
        (folder / name).rename(folder.parent / name)
        os.mkfifo(folder / name)
        refused(folder, name, "a pipe, a device or a socket and no file")
        (folder.parent / name).replace(folder / name)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_flipped_bytes_are_refused_or_change_nothing(
    fitted: Model, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("flip") / "model"
    fitted.save(folder)
    content = bytearray((folder / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(content)
    try:
        model = chiasm.load_model(folder)
    except ArtifactError:
        return
    finally:
        shutil.rmtree(folder.parent)
    pd.testing.assert_frame_equal(model.predict(cohort), fitted.predict(cohort), check_exact=True)
