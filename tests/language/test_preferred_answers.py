"""A model that writes of pictures learns what a scorer prefers: the score rises, its language model stays as it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.fitting.model import FittedModel
from chiasm.language.predictor import ConnectedPredictor
from chiasm.language.preference.answers import Asker, PreferredAnswer, held_aside
from chiasm.language.preference.losses import Preference
from chiasm.language.question_sets.planted import SHAPES
from chiasm.recipes.language.llava_med import LlavaMed
from command_line import Run
from planted_shapes import shapes_cohort

BRIEF: dict[str, Any] = {"epochs": 1, "soft": 2, "batch": 32, "longest": 3, "lessons": 1, "tune": "none"}


def described(n: int, seed: int = 0) -> chiasm.Cohort:
    """Pictures, each of which a text says one of three shapes of, whatever it shows."""
    shown = shapes_cohort(n, seed)
    said = pd.DataFrame({"report": [f"a {SHAPES[k % 3]}" for k in range(n)]}, index=shown.ids)
    images = dict(zip(shown.ids.tolist(), shown.raw("image"), strict=True))
    return chiasm.cohort_from_frames(said, {"image": images}, chiasm.FreeText("report"))


def rings(text: str, reference: str) -> float:
    """A scorer that wants one word, and no other."""
    return text.split().count("ring") - 0.2 * len(text.split())


@pytest.fixture(scope="module")
def model() -> FittedModel:
    return LlavaMed(**BRIEF).fit(described(30), seed=0)


@pytest.fixture(scope="module")
def preferred(model: FittedModel) -> Any:
    return chiasm.prefer_answers(
        model,
        described(30),
        scorer=rings,
        epochs=5,
        candidates=3,
        learning_rate=1e-2,
        loss="dpo",
        seed=1,
    )


def test_the_score_rises_on_patients_who_were_held_out(preferred: Any) -> None:
    own = preferred.learned
    assert own.after.score > own.before.score + 0.1 and own.agreed > 0.6 and own.after.kl > 0
    assert own.before.prompts == 6 and "6 prompts held out" in preferred.told
    assert not [own for own in described(30).ids if str(own) in str(preferred.as_json())]


def test_the_language_model_stays_byte_for_byte_and_the_newer_one_is_a_model(
    model: FittedModel, preferred: Any, tmp_path: Path
) -> None:
    before, after = model.predictor, preferred.model.predictor
    assert isinstance(before, ConnectedPredictor) and isinstance(after, ConnectedPredictor)
    moved = {name for name, own in before.state.items() if not np.array_equal(own, after.state[name])}
    assert moved and all(name.startswith(("fusion.connectors", "fusion.adapted")) for name in moved)
    asked = described(6, seed=3)
    said = preferred.model.predict(asked)
    preferred.model.save(tmp_path / "newer")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "newer").predict(asked), said)
    assert [step.what for step in preferred.model.history] == ["prefer"]


def test_at_first_the_loss_is_ln_2_whatever_is_preferred(model: FittedModel) -> None:
    predictor = model.predictor
    assert isinstance(predictor, ConnectedPredictor)
    cohort, network = described(6), predictor.network().float()
    asker = Asker(predictor, network.fusion, cohort)  # type: ignore[arg-type]
    examples = asker.examples([0, 2, 3], [("a ring", "a square"), ("ring", "a a a"), ("", "a cross")])
    batch = examples.batch(np.arange(3), "cpu", torch.from_numpy(examples.present))
    for own in (Preference("dpo"), Preference("dpo", smoothing=0.1)):
        assert math.isclose(float(PreferredAnswer(own)(network, batch).total.detach()), math.log(2), rel_tol=1e-5)
    turned = asker.examples([2], [("a a a", "ring")])
    first = [own.tokens[" at first"].take(np.array([row])).values[0, 0] for own, row in ((turned, 0), (examples, 1))]
    torch.testing.assert_close(first[0].flip(0), first[1])


def test_texts_of_a_patient_depend_on_nobody_else(model: FittedModel) -> None:
    from chiasm.language.preference.completions import Sampling

    predictor = model.predictor
    assert isinstance(predictor, ConnectedPredictor)
    asker = Asker(predictor, predictor.network().fusion, described(6))  # type: ignore[arg-type]
    both = asker.drawn([1, 4], Sampling(3, 3), 0)
    assert asker.drawn([4], Sampling(3, 3), 0) == both[1:] and len(both[0]) == 3


def test_nobody_is_held_out_from_those_of_his_group() -> None:
    cohort = described(12)
    assert len(held_aside(cohort, 0.25, 0)) == 3
    twins = replace(cohort, group=np.array([f"family {k // 3}" for k in range(12)], dtype=object))
    aside = held_aside(twins, 0.25, 0)
    assert len(aside) == 3 and len({row // 3 for row in aside}) == 1


def test_what_cannot_be_preferred_is_refused(model: FittedModel, tmp_path: Path) -> None:
    for options, why in (
        ({"loss": "kto"}, "kto weighs"),
        ({"candidates": 1}, "two candidates"),
        ({"scorer": lambda text, reference: 1.0}, "nothing to learn from"),
        ({"held_out": 1.0}, "held_out"),
        ({"scorer": "best"}, "is no scorer"),
    ):
        with pytest.raises(ValueError, match=why):
            chiasm.prefer_answers(model, described(12), **options)  # type: ignore[arg-type]
    cohort = chiasm.synthetic_cohort("unique", 40, target="classification")
    with pytest.raises(chiasm.Unsupported, match="writes no texts of its own"):
        chiasm.prefer_answers(chiasm.fit(cohort, "single:m1"), cohort)


@pytest.mark.nightly
def test_a_command_makes_a_model_folder_that_predicts(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for k in range(16):
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(tmp_path / f"secret-{k}.png")
        rows.append({"id": f"secret-{k}", "report": f"a {SHAPES[k % 3]}"})
    pd.DataFrame(rows).to_csv(tmp_path / "patients.csv", index=False)
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(
        'name = "pictures"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "text"\n'
        'column = "report"\n[modalities.picture]\nkind = "image"\npath = "{id}.png"\n'
        'encoder = "patches:size=8,patch=4,channels=1"\n'
    )
    chiasm.fit(manifest, LlavaMed(**BRIEF)).save(tmp_path / "model")
    asked = ("prefer", tmp_path / "model", manifest, "--out", tmp_path / "newer")
    said = run(*asked, "--scorer", "rouge_l", "--candidates", "6", "--tokens", "2")
    assert said.code == 0 and "prompts held out" in said.out and "secret" not in said.out + said.err
    assert run(*asked).code == 2 and "--force" in run(*asked).err
    assert run("predict", tmp_path / "newer", manifest, "--out", tmp_path / "said.csv").code == 0
    assert list(pd.read_csv(tmp_path / "said.csv").columns) == ["patient", "pattern", "text"]
