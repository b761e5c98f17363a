"""Methods with texts and labels beside the items: who belongs together, who has no part, and a training that ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from made_rasters import waves, write_images
from torch.nn import functional

import chiasm
from chiasm.api.pretraining_beside import require_beside
from chiasm.cohort import cohort_from_frames
from chiasm.encoders.raster.config import RasterConfig
from chiasm.objectives.contrastive import contrast
from chiasm.objectives.label_texts import co_occurrence, same_labels
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.stage import built, packed_rasters, pretrained_on_rasters

WITH_TEXT = [name for name, how in METHODS.items() if "text" in how.beside]
CONFIG = RasterConfig("vit", size=8, patch=4, width=8, depth=1, heads=2)
LABELS = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [float("nan"), 0.0]])
TEXT = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
TEXT[3] = TEXT[2]  # a text that repeats
TEXT[1] = float("nan")  # none
HERE = torch.tensor([True, False, True, True, True])
ITEMS = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def learner_of(name: str) -> Learner:
    widths = {part: {"text": 6, "labels": 2}[part] for part in METHODS[name].beside}
    return built(CONFIG, RasterOptions(name), 0, widths)


def beside_of(name: str) -> dict[str, torch.Tensor]:
    return {part: {"text": TEXT, "labels": LABELS}[part] for part in METHODS[name].beside}


@pytest.mark.parametrize("name", [own for own in WITH_TEXT if own != "devide"])
def test_equal_texts_and_labels_are_positive_and_who_has_no_text_has_no_part(name: str) -> None:
    learner: Any = learner_of(name)
    found = learner((ITEMS,), beside_of(name), None)
    known = LABELS[:4]
    targets = torch.eye(5)
    targets[2, 3] = targets[3, 2] = 1.0
    if METHODS[name].beside != ("text",):
        joined = co_occurrence if name == "flair" else same_labels
        targets[:4, :4] = torch.maximum(targets[:4, :4], joined(known))
    own, told = learner.compared(ITEMS), functional.normalize(learner.text(torch.nan_to_num(TEXT)), dim=1)
    how = {"sigmoid": True, "bias": learner.bias} if name == "siglip" else {}
    wanted = contrast(own, told, learner.log_scale.exp(), here=HERE, targets=targets, **how)
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert all(own.grad is not None for own in learner.parameters())
    for behind in (float("nan"), 3.0):
        other = TEXT.clone()
        other[1, 1:] = behind
        torch.testing.assert_close(learner((ITEMS,), {**beside_of(name), "text": other}, None), found)


@pytest.mark.parametrize("name", WITH_TEXT)
def test_in_mixed_precision_items_and_texts_are_compared_in_full(name: str) -> None:
    learner = learner_of(name).eval()
    with torch.no_grad():
        full = learner((ITEMS,), beside_of(name), None)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = learner((ITEMS,), beside_of(name), None)
    assert mixed.dtype == torch.float32 and float(mixed) == pytest.approx(float(full), rel=0.02)


def test_a_patch_that_shows_a_text_lowers_the_loss_of_devide() -> None:
    learner: Any = learner_of("devide")
    found = learner((ITEMS,), beside_of("devide"), None)
    flair: Any = learner_of("flair")
    flair.load_state_dict(learner.state_dict())
    assert found > flair((ITEMS,), beside_of("flair"), None)  # a term more
    nobody = {**beside_of("devide"), "text": torch.full((5, 6), float("nan"))}
    assert learner((ITEMS,), nobody, None).item() == 0.0


def test_clinical_labels_are_the_supervised_contrast_of_two_views() -> None:
    learner: Any = learner_of("clinical-labels")
    views = ITEMS, ITEMS.flip(3)
    both = learner.compared(torch.cat(views))
    targets = torch.eye(5).repeat(2, 2)
    for a, b in ((0, 3), (3, 0)):
        targets[[a, a, a + 5, a + 5], [b, b + 5, b, b + 5]] = 1.0
    wanted = contrast(both, both, torch.tensor(1 / 0.07), targets=targets, without_self=True)
    torch.testing.assert_close(learner(views, beside_of("clinical-labels"), None), wanted)


@pytest.mark.parametrize("name", ["unicl", *(pytest.param(own, marks=pytest.mark.nightly) for own in WITH_TEXT)])
def test_items_are_pretrained_with_what_stands_beside_them(name: str) -> None:
    items, number = waves(24, 1, 8, 2), np.arange(24)
    corpus = corpus_of(number.astype(str).tolist(), number.astype(str).tolist(), 0.2, 0)
    given = {"text": np.eye(6, dtype=np.float32)[number % 6], "labels": np.eye(2, dtype=np.float32)[number % 2]}
    beside = {part: given[part] for part in METHODS[name].beside}
    options = RasterOptions(name, epochs=2, batch=8, held_out=0.2)
    found = pretrained_on_rasters(corpus, packed_rasters(items), CONFIG, options, beside=beside)
    assert len(found.curve) == 2 and all(np.isfinite(row["held_out"]) for row in found.curve)
    with pytest.raises(ValueError, match=f"'{name}' reads beside the items: text"):
        pretrained_on_rasters(corpus, packed_rasters(items), CONFIG, options)


def test_what_is_not_written_is_said_before_any_compute(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, waves(24, 1, 8, 2))
    for method, more, said in (
        ("unicl", {"text": "names"}, "'unicl' reads text and labels beside the modality"),
        ("clip", {"text": "prompts"}, "2 of the 2 labels have no prompts"),
        ("clip", {"text": "note"}, "no modality 'note' for text"),
    ):
        with pytest.raises((ValueError, chiasm.Unsupported), match=said):
            chiasm.pretrain(manifest, tmp_path / "out", method=method, jobs=1, **more)  # type: ignore[arg-type]


def test_numbers_of_a_target_are_no_labels() -> None:
    ids = [f"p{k:02d}" for k in range(12)]
    patients = pd.DataFrame({"rate_a": np.arange(12.0), "rate_b": np.arange(12.0) ** 2}, ids)
    rates = chiasm.Responses(prefix="rate_")  # an array as wide as one of labels
    cohort = cohort_from_frames(patients, {"m": pd.DataFrame({"x": np.arange(12.0) % 5}, ids)}, rates)
    with pytest.raises(chiasm.Unsupported, match="has no labels: take another method"):
        require_beside(cohort, None, True)


@pytest.mark.nightly
def test_the_names_of_labels_are_a_text(tmp_path: Path) -> None:
    manifest = write_images(tmp_path, waves(24, 1, 8, 2))
    found = chiasm.pretrain(
        manifest, tmp_path / "out", method="unicl", text="names", labels=True, epochs=1, batch=8, jobs=1
    )
    assert found.encoder.startswith("raster:weights=") and "text" in found.sentences[0]
