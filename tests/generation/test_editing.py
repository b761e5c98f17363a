"""`edit`: a made cohort whose classes are bright on one side; what moves, what stays, what the file says, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

import chiasm
from chiasm import artifact
from chiasm.api.editing import edit, fit_editor
from chiasm.cohort import Cohort, Unsupported
from chiasm.generation.diffusion import Predict
from chiasm.generation.marks import mark_in
from chiasm.generation.picture_diffusion import SCHEDULE, FittedPictures, PictureDiffusion
from chiasm.generation.picture_editor import PictureEditor
from chiasm.generation.picture_editor import fit_editor as fitted
from command_line import Run

SMALL = PictureDiffusion(width=8, levels=1, steps=1, batch=2)
LEARNT = PictureDiffusion(width=8, levels=1, steps=60, batch=24, learning_rate=8e-3)
ASKED = {"towards": "right", "rounds": 1, "strength": 1.0}


def picture(right: bool, seed: int, side: int = 8) -> np.ndarray:
    """Bright on the left or on the right, 8 bits."""
    bright = np.zeros((side, side)) + (np.arange(side) >= side / 2 if right else np.arange(side) < side / 2)
    return np.rint(60 + 130 * bright + np.random.default_rng(seed).normal(0, 6, (side, side))).astype(np.uint8)


def manifest(folder: Path, n: int = 60) -> Path:
    folder.mkdir(exist_ok=True)
    sides = np.arange(n) % 2 == 1
    for row, right in enumerate(sides):
        Image.fromarray(picture(bool(right), row)).save(folder / f"p{row}.png")
    frame = pd.DataFrame({"id": [f"p{row}" for row in range(n)], "side": np.where(sides, "right", "left")})
    frame.to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "side"\n'
        '[modalities.film]\nkind = "image"\npath = "{id}.png"\n'
    )
    return folder / "cohort.toml"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return chiasm.open_cohort(manifest(tmp_path_factory.mktemp("films")))


class Known(FittedPictures):
    """What a perfect network would say: pictures of a class are its mean with noise of .1, of no class one of both."""

    @property
    def predict(self) -> Predict:
        half = torch.where(torch.arange(8) < 4, 0.5, -0.5).expand(1, 1, 8, 8)
        means = torch.cat([half, -half])

        def said(x: Tensor, t: Tensor, condition: Tensor | None, /) -> Tensor:
            a = SCHEDULE.at(t, x)
            mean = torch.zeros_like(x) if condition is None else means[condition.argmax(1)]
            deviation = 0.5 if condition is None else 0.1
            noise = (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * deviation**2 + 1 - a)
            return (noise - (1 - a).sqrt() * x) / a.sqrt()  # as `v`

        return said


@pytest.fixture(scope="module")
def editor(cohort: Cohort) -> PictureEditor:
    own = fitted(cohort, "film", SMALL, size=8)
    return replace(own, pictures=Known(**vars(own.pictures)))


def leans(values: np.ndarray) -> float:
    half = values.shape[-1] // 2
    return float(values[..., half:].mean() - values[..., :half].mean())


def test_a_picture_moves_towards_the_class_and_stays_outside_of_the_mask(editor: PictureEditor) -> None:
    own = picture(False, 900).astype(np.float32)
    found = edit(editor, own, towards="right", rounds=2, strength=0.8)
    assert found.rounds.shape == (3, 8, 8) and np.array_equal(found.rounds[0], own)
    assert leans(own) < -100 < -20 < leans(found.values)
    one, again, other = (edit(editor, own, **ASKED, seed=seed).rounds for seed in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    back = edit(editor, own, **{**ASKED, "towards": "left"})
    assert leans(back.values) < -80
    assert abs(leans(found.values) - (0.25 * leans(own) + 0.75 * 127.5)) < 15  # means 1 apart of -1 to 1; b2 is .75
    mask = np.zeros((8, 8), bool)
    mask[2:6, 5:] = True
    some = edit(editor, own, mask=mask, **ASKED)
    assert (some.rounds[:, ~mask] == own[~mask]).all() and some.values[mask].mean() > own[mask].mean() + 10
    assert "Outside of the mask no pixel changed." in some.sentences


@pytest.mark.nightly
def test_a_network_that_learnt_the_classes_moves_a_picture_towards_them(cohort: Cohort) -> None:
    own, learnt = picture(False, 900).astype(np.float32), fitted(cohort, "film", LEARNT, size=8)
    found = edit(learnt, own, towards="right", rounds=2, strength=0.8)
    assert leans(own) < -100 < 20 < leans(found.values)
    assert leans(edit(learnt, own, towards="left", rounds=2, strength=0.5).values) < -80


def test_another_size_is_edited_at_its_own_pixels(editor: PictureEditor) -> None:
    own, mask = picture(False, 901, 30).astype(np.float32), np.zeros((30, 30), bool)
    mask[11:19, 20:] = True
    found = edit(editor, own, mask=mask, **ASKED)
    assert (found.values[~mask] == own[~mask]).all() and found.values[mask].mean() > own[mask].mean() + 10
    assert any("draws 8 x 8 pixels" in own for own in found.sentences)


def test_the_command_keeps_what_it_learnt_and_marks_the_file(tmp_path: Path, cohort: Cohort, run: Run) -> None:
    place = manifest(tmp_path / "films")
    Image.fromarray(picture(False, 902)).save(tmp_path / "own.png")
    Image.fromarray(np.pad(np.full((4, 3), 255, np.uint8), ((2, 2), (5, 0)))).save(tmp_path / "mask.png")
    asked = [tmp_path / "own.png", "--towards", "right", "--mask", tmp_path / "mask.png", "--rounds", "1", "--json"]
    out = ["--out", tmp_path / "new.png"]
    told = json.loads(run("edit", place, *asked, *out, "--keep", tmp_path / "kept", "--size", "8", "--steps", "1").out)
    assert mark_in(tmp_path / "new.png") == {k: own for k, own in told.items() if k not in ("sentences", "written")}
    assert told["generator"] == "progressive-edit" and told["towards"] == "right"
    with Image.open(tmp_path / "new.png") as made:
        assert made.mode == "L" and np.array_equal(np.asarray(made)[:2], picture(False, 902)[:2])
    again = ["--out", tmp_path / "again.png"]
    run("edit", tmp_path / "kept", *asked, *again)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "new.png").read_bytes()
    text = (tmp_path / "kept" / "model.json").read_text()
    assert "film" in text and "p17" not in text
    refused = run("edit", tmp_path / "kept", tmp_path / "new.png", *asked[1:], "--out", tmp_path / "third.png")
    assert refused.code == 2 and "says that it was generated" in refused.err


def test_what_cannot_be_edited_is_refused_with_the_reason(tmp_path: Path, editor: PictureEditor) -> None:
    own = picture(False, 903).astype(np.float32)
    for given, error, said in [
        ({"towards": "rihgt"}, ValueError, "did you mean 'right'"),
        ({"mask": np.ones((9, 8))}, ValueError, "the mask has 9 x 8 pixels and the picture 8 x 8"),
        ({"mask": np.zeros((8, 8))}, ValueError, "marks no pixel"),
        ({"rounds": 0}, ValueError, "0 rounds edit nothing"),
        ({"guidance": -1.0}, ValueError, "give 0 or more"),
        ({"out": tmp_path / "x.jpg"}, Unsupported, "is written as .png"),
    ]:
        with pytest.raises(error, match=said):
            edit(editor, own, **{**ASKED, **given})  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="one brightness everywhere"):
        edit(editor, np.full((8, 8), 7), **ASKED)
    with pytest.raises(Unsupported, match="fractions"):
        edit(editor, own + 0.5, tmp_path / "x.png", **ASKED)
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(tmp_path / "colour.png")
    with pytest.raises(Unsupported, match="has 3 channels and those that were learnt from have 1"):
        edit(editor, tmp_path / "colour.png", **ASKED)
    with pytest.raises(Unsupported, match="to 255 of those that were learnt from"):
        edit(editor, own * 257, **ASKED)
    deep = replace(editor, high=65_535.0)
    with pytest.raises(Unsupported, match="to 65,535 of those that were learnt from"):
        edit(deep, own, **ASKED)
    assert edit(deep, own * 16, **ASKED).rounds.shape == (2, 8, 8)  # 12 bits
    artifact.save(tmp_path / "other", FittedPictures(**vars(editor.pictures)))
    with pytest.raises(artifact.ArtifactError, match="holds no editor"):
        edit(tmp_path / "other", own, **ASKED)


def test_a_class_that_hardly_anybody_has_a_picture_of_is_not_offered(tmp_path: Path) -> None:
    place = manifest(tmp_path, 70)
    frame = pd.read_csv(tmp_path / "patients.csv")
    frame.loc[60:, "side"] = "middle"
    frame.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "p69.png").unlink()
    own = fitted(chiasm.open_cohort(place), "film", SMALL, size=8)
    assert own.classes == ("left", "right")
    with pytest.raises(ValueError, match=r"10 patients or more with a picture.*'middle': there are left, right"):
        edit(own, picture(False, 1), towards="middle")


def test_cohorts_that_nothing_is_learnt_from_are_refused(cohort: Cohort) -> None:
    with pytest.raises(Unsupported, match="fewer than 50 nobody can hide"):
        fit_editor(cohort.subset(np.arange(60) < 49))
    with pytest.raises(Unsupported, match="of kind image or volume there are: film"):
        fit_editor(cohort, modality="mri")
    with pytest.raises(Unsupported, match="outcome of classes"):
        fit_editor(cohort.with_target(None, None))
    for size in (2, 65):
        with pytest.raises(ValueError, match=f"{size} pixels a side cannot be drawn: give 8 to 64"):
            fit_editor(cohort, size=size, steps=1)
