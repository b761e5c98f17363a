"""A model of transformers is connected, stays as it is to the byte, and is referred to by its path and hash."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.language.connected import Connected
from chiasm.language.curriculum import digests
from chiasm.language.language_model import language_file
from chiasm.language.question_sets.planted import QUESTIONS
from chiasm.recipes.language.llava_med import LlavaMed
from planted_shapes import shapes_cohort

pytestmark = pytest.mark.nightly  # transformers takes longer to import than all other tests of the connector together
BRIEF: dict[str, Any] = {"epochs": 1, "soft": 2, "batch": 16, "rank": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny causal model with random weights and a tokenizer of whole words."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    said = [word for text, options in QUESTIONS.items() for word in (*text.rstrip("?").split(), *options)]
    words = list(dict.fromkeys(["[UNK]", "<s>", "</s>", "Question", "Answer", ":", "?", *said]))
    own = Tokenizer(models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Whitespace()
    place = tmp_path_factory.mktemp("tiny")
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, unk_token="[UNK]", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(place)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(place)
    return place


def test_padding_is_never_seen_and_words_are_embedded_as_they_are(folder: Path) -> None:
    import torch

    model = language_file(str(folder)).open()
    ids = torch.tensor([[4, 5, 6, 7]])
    mask = torch.ones(1, 4, dtype=torch.bool)
    with torch.inference_mode():
        expected = model.network(ids).logits
        torch.testing.assert_close(model(model.embed(ids), mask), expected, atol=1e-5, rtol=1e-5)
        for before in (0, 3):
            blank = torch.full((1, 3, 16), 1e3)
            whole = torch.cat([blank, model.embed(ids)] if before else [model.embed(ids), blank], 1)
            real = torch.zeros(1, 7, dtype=torch.bool)
            real[:, before : before + 4] = True
            found = model(whole, real)[:, before : before + 4]
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tune", ["none", "lora", "whole"])
def test_it_is_referred_to_and_only_what_changed_is_stored(folder: Path, tune: str, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(folder, copied)
    before = {own.name: own.read_bytes() for own in copied.iterdir()}
    cohort = shapes_cohort(40)
    model = LlavaMed(model=str(copied), tune=tune, **BRIEF).fit(cohort, seed=0)
    assert {own.name: own.read_bytes() for own in copied.iterdir()} == before
    held = set(model.predictor.state)
    assert any("language" in name for name in held) == (tune == "whole")
    assert any("adapted" in name for name in held) == (tune == "lora")
    fresh, fusion = language_file(str(folder)).open(), model.predictor.network().fusion
    assert isinstance(fusion, Connected)
    own = digests(fusion.everything())
    base = {f"language.{name}": value for name, value in digests(fresh.named_parameters()).items()}
    if tune == "none":
        assert {name: own[name] for name in base} == base
    if tune == "lora":  # peft names them otherwise; the bytes of all are there
        assert set(base.values()) <= {value for name, value in own.items() if name.startswith("language.")}
    model.save(tmp_path / "stored")
    opened = chiasm.load_model(tmp_path / "stored")
    pd.testing.assert_frame_equal(opened.predict(cohort), model.predict(cohort))
    assert np.isfinite(model.predict(cohort).filter(like="p_").to_numpy()).all()


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    from chiasm.language import language_model

    copied = tmp_path / "model"
    shutil.copytree(folder, copied)
    model = LlavaMed(model=str(copied), tune="none", **BRIEF).fit(shapes_cohort(40), seed=0)
    model.save(tmp_path / "stored")
    (copied / "config.json").write_text((copied / "config.json").read_text() + "\n")
    language_model._opened.cache_clear()
    with pytest.raises(chiasm.Unsupported, match="is not that of the fit"):
        chiasm.load_model(tmp_path / "stored").predict(shapes_cohort(6))
    with pytest.raises(ValueError, match="no folder 'elsewhere'"):
        LlavaMed(model=str(tmp_path / "elsewhere")).fit(shapes_cohort(20), seed=0)
