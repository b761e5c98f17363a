"""`generate` with pictures: a cohort that opens again, a mark in each header, pictures of who lacks them, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from made_pictures import SIDE, picture_cohort

import chiasm
from chiasm.api.generating import PrivacyError, generate
from chiasm.cohort import Unsupported
from chiasm.generation.marks import mark_in, mark_of
from chiasm.generation.picture_diffusion import FittedPictures
from chiasm.generation.pictures import pictures_of

QUICK = "diffusion:width=8,levels=2,steps=4,batch=8,draws=2"
MARK = mark_of(QUICK, 0)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_cohort(tmp_path_factory.mktemp("pictures"), 90, lack=15)


def test_a_synthetic_cohort_has_pictures_whose_headers_say_so(manifest: Path, tmp_path: Path) -> None:
    made = generate(manifest, tmp_path / "made", patients=40, pictures=QUICK, utility=False, accept_privacy="a test")
    opened = chiasm.open_cohort(tmp_path / "made")
    assert opened.kinds == {"clinical": "table", "image": "image"}
    assert len(opened) == 40
    has = opened.present[:, opened.modalities.index("image")]
    assert 20 < has.sum() < 40
    assert opened.generated is not None
    assert opened.generated.generator == f"gaussian-copula and {QUICK}"
    files = sorted((tmp_path / "made" / "image").iterdir())
    assert [own.stem for own in files] == sorted(opened.ids[has])
    assert [mark_in(own) for own in files] == [MARK] * len(files)
    read = pictures_of(opened, "image")
    assert read.values.shape[1:] == (1, SIDE, SIDE)
    torch.testing.assert_close(read.values, made.pictures["image"].values)
    document = json.loads((tmp_path / "made" / "generated.json").read_text())
    assert document["pictures"]["image"]["drawn"] == has.sum()
    assert {"kid", "fid", "ms_ssim"} <= set(document["pictures"]["image"]["synthetic"])
    assert "image: memorised, pixels" in {own["id"] for own in document["privacy"]["measures"]}
    page = (tmp_path / "made" / "generated.html").read_text()
    assert "kernel distance" in page and "c17" not in page
    again = generate(manifest, patients=40, pictures=QUICK, utility=False, accept_privacy="a test")
    assert torch.equal(again.pictures["image"].values, made.pictures["image"].values)


def test_pictures_of_who_lacks_them_stand_beside_the_real_ones(manifest: Path, tmp_path: Path) -> None:
    generate(manifest, tmp_path / "filled", fill="image", pictures=QUICK)
    opened, real = chiasm.open_cohort(tmp_path / "filled"), chiasm.open_cohort(manifest)
    assert opened.present.all()
    assert opened.generated is not None and opened.generated.modalities == {"image": 15}
    lacked = {str(own) for own in real.ids[~real.present[:, real.modalities.index("image")]]}
    for file in (tmp_path / "filled" / "image").iterdir():
        assert mark_in(file) == (MARK if file.stem in lacked else None)
        if file.stem not in lacked:
            assert file.read_bytes() == (manifest.parent / "png" / file.name).read_bytes()


def test_a_generator_that_copies_pictures_is_refused(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = chiasm.open_cohort(manifest)
    pictures = pictures_of(cohort, "image").values

    def copies(self: FittedPictures, n: int, *_: object) -> torch.Tensor:
        return pictures[torch.arange(n) % len(pictures)]

    monkeypatch.setattr(FittedPictures, "sample", copies)
    with pytest.raises(PrivacyError, match="drawn pictures of 'image' that are a training picture in every pixel"):
        generate(cohort, tmp_path / "made", patients=60, pictures=QUICK, utility=False)
    assert not (tmp_path / "made").exists()


def test_too_few_pictures_and_wrong_names_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no generator of pictures is called 'diffusoin': did you mean 'diffusion'"):
        generate(manifest, patients=5, pictures="diffusoin")
    with pytest.raises(ValueError, match="has no option 'step': did you mean 'steps'"):
        generate(manifest, patients=5, pictures="flow:step=3")
    few = chiasm.open_cohort(picture_cohort(tmp_path / "few", 70, lack=40))
    with pytest.raises(Unsupported, match="30 patients have pictures of 'image'"):
        generate(few, patients=5, pictures=QUICK)
    with pytest.raises(Unsupported, match="30 patients have 'image', and from fewer than 50"):
        generate(few, fill="image", pictures=QUICK)


def test_what_is_known_leads_what_is_filled_in(monkeypatch: pytest.MonkeyPatch, manifest: Path) -> None:
    asked: list[np.ndarray] = []

    def kept(self: FittedPictures, n: int, seed: int, condition: torch.Tensor, *_: object) -> torch.Tensor:
        asked.append(condition.numpy())
        return torch.zeros(n, 1, SIDE, SIDE)

    monkeypatch.setattr(FittedPictures, "sample", kept)
    cohort = chiasm.open_cohort(manifest)
    generate(cohort, fill="image", pictures=QUICK)
    lacks = ~cohort.present[:, cohort.modalities.index("image")]
    age = cohort.raw("clinical")["age"].to_numpy()[lacks]
    (place,) = np.flatnonzero(asked[0].std(0))  # but for whether the age is missing
    assert (np.diff(asked[0][np.argsort(age), place]) >= 0).all()


@pytest.mark.nightly
def test_what_training_on_drawn_pictures_is_worth(tmp_path: Path) -> None:
    manifest = picture_cohort(tmp_path / "cohort", 200)
    made = generate(
        manifest, tmp_path / "made", patients=160, recipe="single:image", accept_privacy="a test",
        pictures="diffusion:steps=250,width=16,levels=2,batch=16,draws=10,learning_rate=0.004",
    )  # fmt: skip
    assert made.utility is not None and made.utility.synthetic is not None and made.utility.real is not None
    assert made.utility.real[0] > 0.9
    assert made.utility.synthetic[0] > 0.7
