"""Odd images and boxes: of another size, of one colour, of two pixels, very large; a label that nobody has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import chiasm
from detection_cohorts import made_cohort

VOC = "<annotation><size><width>{}</width><height>{}</height></size>{}</annotation>"
BOX = "<object><name>disc</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"


def test_boxes_of_an_image_of_another_size_are_told(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 12)
    table = pd.read_csv(tmp_path / "patients.csv")
    for k, (width, height) in enumerate(((32, 32), (64, 64), (64, 32))):
        (tmp_path / f"b{k}.xml").write_text(VOC.format(width, height, BOX))
        table.loc[k, "boxes"] = f"b{k}.xml"
    table.to_csv(tmp_path / "patients.csv", index=False)
    found = {own.what: own for own in chiasm.check_cohort(place) if "drawn on an image" in own.what}
    assert {what: (own.severity, own.row) for what, own in found.items()} == {
        "boxes were drawn on an image of another shape": ("error", 4),
        "boxes were drawn on an image of another size": ("warning", 3),
    }


def test_odd_images_are_drawn_in_and_a_label_that_nobody_has_is_said(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 14)
    Image.fromarray(np.full((32, 32), 200, np.uint8)).save(tmp_path / "p000.png")  # of one colour
    Image.fromarray(np.array([[0, 255]], np.uint8)).save(tmp_path / "p001.png")  # of two pixels
    Image.fromarray(np.zeros((3, 40_000), np.uint8)).save(tmp_path / "p002.png")  # of 40,000 a side
    text = place.read_text().replace('"disc"]', '"disc", "star"]')
    place.write_text(text)
    table = pd.read_csv(tmp_path / "patients.csv")
    table.loc[:2, "boxes"] = json.dumps([])
    table.to_csv(tmp_path / "patients.csv", index=False)
    told = [own.what for own in chiasm.check_cohort(place)]
    assert any("1 label without a box in any image: star" in own for own in told)
    assert any("names an image without a box" in own for own in told)
    cohort = chiasm.encode(chiasm.open_cohort(place)).cohort
    from chiasm.recipes.detection.centres import Centres

    said = Centres(epochs=1, width=8, depth=1).fit(cohort, seed=0).predict(cohort)
    assert np.isfinite(said[["count_square", "count_disc", "count_star"]].to_numpy(float)).all()
    assert all(json.loads(own) is not None for own in said["boxes"])
