"""Real slices with organs run from the check to the page; they are five, so that nothing is claimed of accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm.metrics.scores import score

SLICES = Path(__file__).parents[3] / "shared" / "data" / "wings" / "ct-slices-organs"
LABELS = ("aorta", "liver", "lung", "heart", "gluteus")
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not SLICES.exists(), reason="the slices with organs are not here"),
]


def codes_of(name: str, shape: tuple[int, int]) -> np.ndarray:
    """The label map of a slice, of its binary masks: left and right, and parts of one organ, are one label."""
    codes = np.zeros(shape, dtype=np.uint8)
    for code, label in enumerate(LABELS, 1):
        for place in sorted((SLICES / "masks").glob(f"{name}_{label}*.png")):
            codes[np.asarray(Image.open(place)) > 0] = code
    return codes


def written(folder: Path, parts: int, side: int | None = None) -> Path:
    """A cohort of `parts` x `parts` pieces of each slice, at most `side` pixels each, which no fold parts."""
    rows, resize = [], Image.Resampling
    (folder / "images").mkdir(parents=True)
    for place in sorted((SLICES / "images").glob("*.png")):
        picture = Image.open(place)
        whole = codes_of(place.stem, (picture.height, picture.width))
        width, height = picture.width // parts, picture.height // parts
        for k in range(parts**2):
            x, y = k % parts * width, k // parts * height
            piece, codes = picture.crop((x, y, x + width, y + height)), whole[y : y + height, x : x + width]
            label_map, name = Image.fromarray(codes), f"{place.stem}-{k}"
            if side is not None:
                piece, label_map = piece.resize((side, side)), label_map.resize((side, side), resize.NEAREST)
            piece.save(folder / "images" / f"{name}.png")
            label_map.save(folder / f"{name}.png")
            rows.append({"id": name, "slice": place.stem, "map": f"{name}.png"})
    pd.DataFrame(rows).to_csv(folder / "slices.csv", index=False)
    listed = ", ".join(f'"{label}"' for label in LABELS)
    (folder / "cohort.toml").write_text(
        'name = "slices"\n[patients]\ntable = "slices.csv"\nid = "id"\ngroup = "slice"\n'
        f'[target]\nkind = "mask"\ncolumn = "map"\nlabels = [{listed}]\ntolerance = 2.0\n'
        '[modalities.ct]\nkind = "image"\npath = "images/{id}.png"\nencoder = "grid:normalise=own"\n',
        encoding="utf-8",
    )
    return folder / "cohort.toml"


def test_whole_slices_are_read_and_the_truth_scores_one(tmp_path: Path) -> None:
    place = written(tmp_path / "slices", 1)
    assert not [own for own in chiasm.check_cohort(place) if own.severity == "error" and "label map" in own.what]
    outcome = chiasm.open_cohort(place).outcome
    assert outcome is not None and outcome.maps is not None and outcome.known.all()
    assert (outcome.value > 0).sum(axis=0).tolist() == [3, 2, 1, 1, 1]
    truth = pd.DataFrame(outcome.value, columns=[f"volume_{label}" for label in LABELS])
    truth.insert(0, "mask", outcome.maps.texts)
    values = score("mask", truth, outcome, LABELS, min_events=0)
    assert [float(values[name][0]) for name in ("dice", "surface_dice", "hd95", "lesion_f1")] == [1, 1, 0, 1]


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")  # black corners are alike
def test_pieces_of_slices_run_from_the_check_to_the_page(tmp_path: Path) -> None:
    place = written(tmp_path / "slices", 3, 48)
    protocol = chiasm.Protocol(folds=3, repeats=1)
    trial = chiasm.evaluate(place, ["unet:epochs=2,width=8,depth=2"], protocol, seed=0, out=tmp_path / "run")
    table = trial.table().set_index("recipe")["mean"]
    assert table["single:ct"] == 0 < table["unet:epochs=2,width=8,depth=2"]
    drawn = trial.drawn("null").set_index("label")["drawn"]
    assert list(drawn.index) == list(LABELS) and (drawn > 0).all()
    again = chiasm.load_trial(tmp_path / "run")
    pd.testing.assert_frame_equal(again.drawn("null"), trial.drawn("null"))
    page = trial.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "surface dice" in page and "amos" not in page
