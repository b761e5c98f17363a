"""`medmax`: one model names images and draws them; alone as in a batch, stored, resumed, and without an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported

NAMES = ("nought", "the one", "two")
OPTIONS = "medmax:epochs=3,width=16,depth=1,heads=2,codes=16,halvings=1,quantiser_steps=20"


def digits_cohort(folder: Path, n: int, *, without: tuple[int, ...] = ()) -> chiasm.Cohort:
    """Pictures of the digits 0, 1 and 2 of scikit-learn, 8 x 8, and an age."""
    from sklearn.datasets import load_digits

    found = load_digits(n_class=3)
    rows = []
    for k in range(n):
        rows.append({"id": f"p{k:03d}", "digit": NAMES[found.target[k]], "age": 50.0 + k % 7})
        if k not in without:
            Image.fromarray((found.images[k] * 15).astype(np.uint8)).save(folder / f"p{k:03d}.png")
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    (folder / "cohort.toml").write_text(
        'name = "digits"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        '[target]\nkind = "classification"\ncolumn = "digit"\n'
        '[modalities.picture]\nkind = "image"\npath = "{id}.png"\nencoder = "patches:size=8,patch=4,channels=1"\n'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n',
        encoding="utf-8",
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml")).cohort


def test_what_it_cannot_read_is_refused() -> None:
    from chiasm.recipes.language.medmax import MedMax

    for options, why in (({"codes": 1}, "codes=1"), ({"width": 10}, "twice"), ({"quantiser_steps": 0}, "1 or more")):
        with pytest.raises(ValueError, match=why):
            MedMax(**options)
    with pytest.raises(Unsupported, match="no modality of images, in which a class is seen"):
        MedMax().supports(chiasm.synthetic_cohort("unique", 40))
    with pytest.raises(Unsupported, match="name of a class"):
        MedMax().supports(chiasm.synthetic_cohort("unique", 40, target="regression"))


@pytest.mark.nightly
def test_it_says_the_same_of_one_and_of_all_and_after_it_was_stored(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    cohort = digits_cohort(tmp_path, 40, without=(5,))
    model = chiasm.fit(cohort, OPTIONS, seed=0)
    said = model.predict(cohort)
    alone = model.predict(cohort.subset(np.arange(len(cohort)) == 3))
    pd.testing.assert_frame_equal(alone, said.iloc[[3]], atol=1e-5)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    again = chiasm.fit(cohort, OPTIONS, seed=0)
    pd.testing.assert_frame_equal(again.predict(cohort), said)
    shares = pd.Series([NAMES[k] for k in load_targets(40)]).drop(5).value_counts(normalize=True)
    prior = said.loc["p005", [f"p_{name}" for name in shares.index]].astype(float)
    np.testing.assert_allclose(prior, shares, atol=0.02)


@pytest.mark.nightly
def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    from chiasm.recipes.registry import make_recipe
    from chiasm.training.checkpoint import Checkpoint

    cohort = digits_cohort(tmp_path, 30)
    whole = make_recipe(OPTIONS).fit(cohort, seed=1)
    write = Checkpoint.write

    def stop(self: Checkpoint, *given: object) -> None:
        write(self, *given)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            make_recipe(OPTIONS).fit(cohort, seed=1, checkpoint=tmp_path)
    assert (tmp_path / "medmax.safetensors").exists()
    resumed = make_recipe(OPTIONS).fit(cohort, seed=1, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(resumed.predict(cohort), whole.predict(cohort))


@pytest.mark.nightly
def test_it_names_digits_it_has_not_seen_and_draws_what_a_reader_of_digits_knows_again(tmp_path: Path) -> None:
    pytest.importorskip("monai")
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression

    from chiasm.recipes.language.medmax import EarlyFusionPredictor

    cohort = digits_cohort(tmp_path, 360)
    train, test = (cohort.subset(rows) for rows in (np.arange(360) < 240, np.arange(360) >= 240))
    model = chiasm.fit(
        train, "medmax:epochs=60,patience=20,width=32,heads=2,codes=32,halvings=1,quantiser_steps=300,batch=16", seed=0
    )
    said = model.predict(test)[[f"p_{name}" for name in NAMES]].to_numpy(float)
    right = np.array(load_targets(360))[240:]
    assert (said.argmax(axis=1) == right).mean() > 0.8
    found, predictor = load_digits(n_class=3), model.predictor
    assert isinstance(predictor, EarlyFusionPredictor)
    reader = LogisticRegression(max_iter=1000).fit(standardised(found.images), found.target)
    drawn = [predictor.drawn(name, 24, seed=k) for k, name in enumerate(NAMES)]
    known = [reader.predict(standardised(own)) == k for k, own in enumerate(drawn)]
    assert np.mean(known) > 0.5, np.mean(known, axis=1)  # a third by chance; of 300 drawn, three in five were known
    with pytest.raises(ValueError, match="no label"):
        predictor.drawn("three")


def standardised(images: np.ndarray) -> np.ndarray:
    """Images `(n, 64)`, each less its mean and by its spread."""
    flat = images.reshape(len(images), -1).astype(float)
    return np.asarray((flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True))


def load_targets(n: int) -> list[int]:
    from sklearn.datasets import load_digits

    return [int(own) for own in load_digits(n_class=3).target[:n]]
