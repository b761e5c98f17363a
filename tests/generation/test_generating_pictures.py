"""`generate` with pictures: a cohort that opens again, a mark in each header, pictures of who lacks them, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_pictures import SIDE, picture_cohort

import chiasm
from chiasm.api.generating import PrivacyError, generate
from chiasm.cohort import Unsupported, holdout
from chiasm.generation.marks import mark_in, mark_of
from chiasm.generation.picture_diffusion import FittedPictures, PictureDiffusion
from chiasm.generation.picture_files import ENDINGS, copy_as_drawn
from chiasm.generation.pictures import Scale, pictures_of
from chiasm.readers.registry import reader_for

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


def _as(folder: Path, ending: str, write: Callable[[Path, np.ndarray], object]) -> Path:
    """The same cohort with its pictures written anew."""
    copy = picture_cohort(folder, 52, lack=2)
    for file in sorted((folder / "png").iterdir()):
        write(file.with_suffix(ending), reader_for("image").read(file).values[0])
        file.unlink()
    copy.write_text(copy.read_text().replace(".png", ending))
    return copy


def _turned_jpeg(file: Path, values: np.ndarray) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(values[:8].astype(np.uint8)).save(file, exif=exif)


def _inks(file: Path, values: np.ndarray) -> None:
    from PIL import Image

    Image.fromarray(np.stack([values.astype(np.uint8)] * 4, -1), mode="CMYK").save(file)


def _deep_tiff(file: Path, values: np.ndarray) -> None:
    pytest.importorskip("tifffile").imwrite(
        file, (values * 16).astype(np.uint16), resolution=(20, 40), resolutionunit="CENTIMETER"
    )


def _scaled_nifti(file: Path, values: np.ndarray) -> None:
    nibabel = pytest.importorskip("nibabel")
    made = nibabel.Nifti1Image(values[None, :4, :4].astype(np.int16), np.diag([1.0, 2.0, 3.0, 1.0]))
    made.header.set_slope_inter(0.37, 5)
    nibabel.save(made, file)


@pytest.mark.parametrize(
    ("ending", "write", "kind"),
    [
        (".jpg", _turned_jpeg, "image"),
        (".jpg", _inks, "image"),
        (".tif", _deep_tiff, "image"),
        (".nii", _scaled_nifti, "volume"),
    ],
)
def test_a_real_picture_of_any_format_is_copied_unchanged(
    tmp_path: Path, ending: str, write: Callable[[Path, np.ndarray], object], kind: str
) -> None:
    write(tmp_path / f"real{ending}", np.random.default_rng(0).integers(0, 256, (12, 12)).astype(np.float32))
    target = tmp_path / f"copy{ENDINGS[kind]}"
    copy_as_drawn(tmp_path / f"real{ending}", target)
    real, found = (reader_for(kind).read(own) for own in (tmp_path / f"real{ending}", target))
    np.testing.assert_array_equal(found.values, real.values)
    assert found.spacing == (None if real.spacing is None else pytest.approx(real.spacing))
    assert (kind == "volume" or ending == ".tif") == (real.spacing is not None)


def test_real_pictures_that_lie_turned_stand_upright_beside_drawn_ones(tmp_path: Path) -> None:
    source = _as(tmp_path / "real", ".jpg", _turned_jpeg)
    generate(source, tmp_path / "filled", fill="image", pictures="diffusion:width=8,levels=1,steps=2,draws=1")
    real, found = chiasm.open_cohort(source), chiasm.open_cohort(tmp_path / "filled")
    read, files = reader_for("image").read, dict(zip(found.ids, found.raw("image"), strict=True))
    assert {read(own).values.shape for own in files.values()} == {(1, 12, 8)}
    for key, own in zip(real.ids[real.rows_of("image")], real.raw("image"), strict=True):
        np.testing.assert_array_equal(read(files[key]).values, read(own).values)


def test_real_pictures_that_cannot_be_copied_are_refused_before_any_is_learnt(tmp_path: Path) -> None:
    source = _as(tmp_path, ".tif", lambda file, own: pytest.importorskip("tifffile").imwrite(file, own / 255))
    with pytest.raises(Unsupported, match="picture 1 of modality 'image' holds fractions, which the PNG"):
        generate(source, fill="image", pictures="diffusion:steps=100000000")


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


@pytest.mark.parametrize("patients", [1, 2])
def test_a_copy_is_refused_however_few_are_drawn(
    manifest: Path, monkeypatch: pytest.MonkeyPatch, patients: int
) -> None:
    class Copies:
        def __init__(self, pictures: torch.Tensor) -> None:
            self.pictures = pictures

        def sample(self, n: int, *_: object) -> torch.Tensor:
            return self.pictures[:n]

    monkeypatch.setattr(PictureDiffusion, "fit", lambda self, pictures, *_: Copies(pictures))
    with pytest.raises(PrivacyError, match="drawn pictures of 'image' that are a training picture in every pixel"):
        generate(manifest, patients=patients, pictures=QUICK, utility=False)


def test_who_is_held_out_sets_no_scale(tmp_path: Path) -> None:
    from PIL import Image

    manifest = picture_cohort(tmp_path, 60)
    cohort = chiasm.open_cohort(manifest)
    for key in cohort.ids[holdout(cohort, 0.2, seed=0)]:
        Image.fromarray(np.full((20, 9), 40_000, dtype=np.uint16)).save(tmp_path / "png" / f"{key}.png")
    made = generate(manifest, patients=1, pictures=QUICK, utility=False, accept_privacy="a test")
    assert made.pictures["image"].scale == Scale("image", ("grey",), 0, 255, (SIDE, SIDE), (SIDE, SIDE), None)


def test_a_single_picture_is_measured_and_what_is_not_told_is_said(manifest: Path) -> None:
    made = generate(manifest, patients=1, pictures=QUICK, utility=False, accept_privacy="a test")
    assert len(made.pictures["image"].rows) == 1
    assert made.privacy is not None
    assert {"image: copies", "image: memorised, pixels"} <= {own.id for own in made.privacy.measures}
    assert any(own.startswith("One picture of 'image' was drawn") for own in made.sentences)


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
