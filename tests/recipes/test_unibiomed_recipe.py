"""`unibiomed`: a text asks for one of two objects, its [SEG] draws it, and without a [SEG] there is no mask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.unibiomed import UniBiomed
from chiasm.segmentation.asked_sam import END, NAMES, SEG, SILENT, answer_of, named_labels, pieces_of
from chiasm.targets.label_maps import of_text
from tiny_speakers import fresh_model, tokenizer_of

pytest.importorskip("transformers")
SIDE = 32
WORDS = ("where", "is", "the", "bright", "dark", "one", "none", "here")
SMALL = {"size": 32, "patch": 8, "width": 32, "depth": 2, "soft": 2, "rank": 4, "longest": 16}


def two_objects(rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """A picture of a bright and a dark disc, one left and one right, and where each is."""
    down, across = np.mgrid[:SIDE, :SIDE]
    places = rng.permutation([rng.uniform(6, 12), rng.uniform(20, 26)])
    discs = [(down - rng.uniform(8, 24)) ** 2 + (across - own) ** 2 < rng.uniform(4, 6) ** 2 for own in places]
    picture = 128 + 90.0 * discs[0] - 90.0 * discs[1] + rng.normal(0, 8, (SIDE, SIDE))
    return np.clip(picture, 0, 255).astype(np.uint8), discs


def asking_cohort(folder: Path, n: int, seed: int) -> Path:
    """Write pictures, what is asked of each, and the map of what was asked for; return the manifest."""
    rng, rows = np.random.default_rng(seed), []
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(n):
        picture, discs = two_objects(rng)
        which = int(rng.integers(2))
        Image.fromarray(picture).save(folder / f"p{k:03d}.png")
        Image.fromarray(discs[which].astype(np.uint8)).save(folder / f"p{k:03d}_map.png")
        rows.append({"id": f"p{k:03d}", "map": f"p{k:03d}_map.png", "asks": f"where is the {WORDS[3 + which]} one"})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "asking"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        'labels = ["asked"]\n[modalities.picture]\nkind = "image"\npath = "{id}.png"\nencoder = "grid"\n'
        '[modalities.words]\nkind = "text"\ncolumn = "asks"\n'
    )
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speaker")
    read = tokenizer_of(WORDS)
    fresh_model(len(read), width=32).save_pretrained(folder)
    read.save_pretrained(folder)
    return folder


def encoded(manifest: Path, speaker: Path) -> chiasm.Cohort:
    opened = chiasm.open_cohort(manifest)
    return chiasm.encode(opened, {"words": f"hf:{speaker}"}, inputs=True, jobs=1).cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory, speaker: Path) -> chiasm.Cohort:
    return encoded(asking_cohort(tmp_path_factory.mktemp("few"), 12, 0), speaker)


@pytest.fixture(scope="module")
def model(cohort: chiasm.Cohort) -> chiasm.FittedModel:
    return UniBiomed(**SMALL, epochs=1).fit(cohort, seed=0)


def test_a_model_is_stored_without_its_language_model_and_says_the_same_of_one_and_of_all(
    model: chiasm.FittedModel, cohort: chiasm.Cohort, tmp_path: Path
) -> None:
    said = model.predict(cohort)
    pd.testing.assert_frame_equal(model.predict(cohort.subset(np.arange(len(cohort)) == 3)), said.iloc[[3]])
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    assert not any("embed_tokens" in name for name in model.predictor.state)
    assert sum("updates" in name for name in model.predictor.state) > 0


@pytest.mark.nightly
def test_a_language_model_that_is_trained_whole_is_stored(cohort: chiasm.Cohort) -> None:
    whole = UniBiomed(**SMALL, epochs=0, tune="whole").fit(cohort, seed=0)
    assert any("embed_tokens" in name for name in whole.predictor.state)


def test_without_a_seg_there_is_no_mask(model: chiasm.FittedModel, cohort: chiasm.Cohort) -> None:
    network = model.predictor.network()
    images, present = {"picture": torch.randn(2, 1, SIDE, SIDE)}, torch.ones(2, 1, dtype=torch.bool)
    question = [torch.tensor([3, 4, 5]), torch.zeros(0, dtype=torch.int64)]
    with torch.no_grad():
        network.said.weight.zero_()
        network.said.bias.copy_(torch.eye(3)[END])
        assert bool((network(images, present, question)[:, 1] == SILENT).all())
        network.said.bias.copy_(torch.eye(3)[SEG])  # a [SEG] of nothing that has a name
        assert bool((network(images, present, question)[:, 1] == SILENT).all())
    assert named_labels([NAMES, SEG, NAMES, SEG, SEG, NAMES + 2, SEG, NAMES + 1, END]) == [(0, 0), (3, 2)]
    assert answer_of([0, 2]).tolist() == [NAMES, SEG, NAMES + 2, SEG]
    assert pieces_of(torch.tensor([[1.0, 3, 7, 8, 9, -1], [0, 1, 5, 6, -1, -1]])).tolist() == [8, 9, 5]


def test_the_gradient_of_a_mask_reaches_the_words_through_seg_alone(cohort: chiasm.Cohort) -> None:
    model = UniBiomed(**SMALL, epochs=0).fit(cohort, seed=0)
    network = model.predictor.network()
    images, present = {"picture": torch.randn(1, 1, SIDE, SIDE)}, torch.ones(1, 1, dtype=torch.bool)
    codes = torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    codes[0, 4:12, 4:12] = 1
    losses = network.losses(images, present, [torch.tensor([3, 4, 5])], codes)
    (losses["entropy"] + losses["dice"]).backward()
    reached = network.words.grad.abs().sum(1) > 0
    assert reached.tolist() == [True, False, True]  # [SEG], and the name before it, which its state has read
    assert network.said.weight.grad is None or not network.said.weight.grad.any()
    silent = network.losses(images, present, [torch.tensor([3, 4, 5])], torch.zeros_like(codes))
    assert (
        not silent["entropy"].requires_grad and float(silent["entropy"] + silent["dice"]) == 0
    )  # nothing is asked for


def test_what_nobody_asks_is_a_form_of_its_own_that_a_trial_names(cohort: chiasm.Cohort) -> None:
    recipe = UniBiomed(**SMALL, epochs=1)
    assert recipe.against == replace(recipe, asked=False).name and replace(recipe, asked=False).against == ""
    mute = replace(recipe, asked=False).fit(cohort, seed=0)
    other = cohort.with_modalities(["picture"])
    pd.testing.assert_series_equal(mute.predict(cohort)["mask"], mute.predict(other)["mask"])


def test_what_it_cannot_read_is_refused(cohort: chiasm.Cohort, speaker: Path, tmp_path: Path) -> None:
    for wrong in ({"tune": "some"}, {"soft": 0}, {"rank": 0}, {"longest": 0}):
        with pytest.raises(ValueError, match=r"tune|soft|rank|longest"):
            UniBiomed(**wrong)
    with pytest.raises(Unsupported, match="masks are asked for in a text, and there is none that a causal"):
        UniBiomed(**SMALL).fit(cohort.with_modalities(["picture"]), seed=0)
    with pytest.raises(Unsupported, match="'notes' is no text that a causal language model encodes"):
        UniBiomed(**SMALL, text="notes").fit(cohort, seed=0)
    with pytest.raises(Unsupported, match="reads 62 tokens, and 67 are needed"):
        UniBiomed(**{**SMALL, "longest": 60}).fit(cohort, seed=0)


@pytest.mark.nightly
def test_the_text_picks_one_of_two_objects(tmp_path: Path, speaker: Path) -> None:
    learned = encoded(asking_cohort(tmp_path / "learned", 120, 1), speaker)
    judged = encoded(asking_cohort(tmp_path / "judged", 24, 2), speaker)
    model = UniBiomed(**SMALL, epochs=30, patience=30, batch=8).fit(learned, seed=0)
    said = [of_text(text, ("asked",)).codes == 1 for text in model.predict(judged)["mask"]]
    rng, right, wrong = np.random.default_rng(2), [], []
    for own in said:
        _, discs = two_objects(rng)
        which = int(rng.integers(2))
        right.append(overlap(own, discs[which]))
        wrong.append(overlap(own, discs[1 - which]))
    assert np.mean(right) > 0.6 and np.mean(wrong) < 0.1


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((one & other).sum() / max((one | other).sum(), 1))
