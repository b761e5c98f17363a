"""Boxes are read from four kinds of file, alike, and what is wrong with one is said by its row and without a value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.box_files import read_boxes
from chiasm.targets.box_cells import Drawn
from chiasm.targets.channel_cells import Unread
from chiasm.targets.marked import as_text, of_text, overlaps, usual_boxes

VOC = """<annotation><size><width>200</width><height>100</height></size>
<object><name>red</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>40</ymax></bndbox></object>
<object><name>white</name><bndbox><xmin>100</xmin><ymin>50</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object>
</annotation>"""
COCO = {
    "images": [
        {"id": 7, "file_name": "a.png", "width": 200, "height": 100},
        {"id": 8, "file_name": "b.png", "width": 9, "height": 9},
    ],
    "categories": [{"id": 3, "name": "red"}, {"id": 4, "name": "white"}],
    "annotations": [
        {"image_id": 7, "category_id": 3, "bbox": [20, 10, 40, 30]},
        {"image_id": 7, "category_id": 4, "bbox": [100, 50, 100, 50]},
    ],
}  # fmt: skip
FILES = {
    "a.xml": VOC,
    "a.json": json.dumps(COCO),
    "a.txt": "0 0.2 0.25 0.2 0.3\n1 0.75 0.75 0.5 0.5\n",
    "a.csv": "label,x0,y0,x1,y1\nred,20,10,60,40\nwhite,100,50,200,100\n",
    "sized.csv": "label,x0,y0,x1,y1,width,height\nred,20,10,60,40,200,100\nwhite,100,50,200,100,200,100\n",
    "none.txt": "",
}
CORNERS = np.array([[0.1, 0.1, 0.3, 0.4], [0.5, 0.5, 1.0, 1.0]])
LABELS = ("red", "white")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def cohort(folder: Path, cells: list[object], **more: object) -> chiasm.Cohort:
    """Patients with these cells, the first three times: a cohort needs some."""
    ids = [f"p{k}" for k in range(len(cells))]
    pd.DataFrame({"id": ids, "boxes": cells, "age": np.arange(len(ids))}).to_csv(folder / "patients.csv", index=False)
    said = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    (folder / "cohort.toml").write_text(
        'name = "smears"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        f'[target]\nkind = "boxes"\ncolumn = "boxes"\n{said}'
        '[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n'
    )
    return chiasm.open_cohort(folder / "cohort.toml")


def test_four_kinds_of_file_say_the_same(folder: Path) -> None:
    for cell in ("a.xml", "a.json#a.png", "sized.csv", "a.txt"):
        (found,) = read_boxes(folder, [cell])
        assert isinstance(found, Drawn), cell
        np.testing.assert_allclose(found.corners, CORNERS, atol=1e-12)
    (found,) = read_boxes(folder, ["a.csv"], (200.0, 100.0))
    np.testing.assert_allclose(found.corners, CORNERS, atol=1e-12)
    (nothing,) = read_boxes(folder, ["none.txt"])
    assert isinstance(nothing, Drawn) and len(nothing.names) == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.xml", VOC[:-20], "damaged"),
        ("a.xml", '<!DOCTYPE a [<!ENTITY b "b">]>' + VOC, "document type"),
        ("a.xml", VOC.replace("<xmin>20", "<xmin>"), "no file of boxes"),
        ("a.xml", VOC.replace("200</width", "0</width"), "no size"),
        ("a.txt", "0 0.2 0.25\n", "no file of boxes"),
        ("a.csv", "label,x0,y0,x1\nred,1,2,3\n", "without the column 'y1'"),
        ("a.csv", FILES["a.csv"], "stands nowhere"),
        ("a.json", FILES["a.json"], "2 images"),
        ("a.json#c.png", FILES["a.json"], "does not have"),
        ("a.json", "[1, 2]", "no file of boxes"),
        ("a.json#a.png", json.dumps(COCO).replace('"bbox": [20', '"iscrowd": 1, "bbox": [20'), "many objects"),
        ("a.png", "", "ends in none of"),
        ("../a.xml", VOC, "of which"),
        ("b.xml", "", "not there"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, text: str, said: str) -> None:
    if not name.startswith(("..", "b.")):
        (tmp_path / name.partition("#")[0]).write_text(text, encoding="utf-8")
    (found,) = read_boxes(tmp_path, [name])
    assert isinstance(found, Unread) and said in found.what


def test_findings_name_rows_and_no_value(folder: Path) -> None:
    cells = [
        "a.xml",
        "none.txt",
        "",
        '[["green", 0, 0, 1, 1]]',
        '[["red", 1.2, 0, 1.4, 1]]',
        '[["red", 0.4, 0, 0.2, 1]]',
    ]
    cells += ['[["red", 0.5, 0, 0.5, 1], ["red", 0.9, 0, 1.05, 1]]', "{}", "a.txt"]
    made = cohort(folder, cells, labels=list(LABELS))
    told = {own.what.partition(" in 2")[0].partition("column 'boxes' ")[2]: own for own in made.findings}
    rows = {what: (own.row, own.severity) for what, own in told.items()}
    assert rows["names an image without a box"] == (3, "warning") and rows["is missing"] == (4, "warning")
    assert rows["holds a label that [target] does not declare"] == (5, "error")
    assert rows["holds a box outside of its image"] == (6, "error")
    assert any("not finite" in what and where == (7, "error") for what, where in rows.items())
    assert rows["holds boxes without an area"] == (8, "warning") == rows["holds boxes that reach over the image's edge"]
    assert any("no file" in what or "ends in none" in what for what in rows)
    assert "green" not in str(made.findings) and "p4" not in str(made.findings)
    assert made.outcome is not None and made.outcome.known.tolist() == [True, True, *[False] * 4, True, False, True]
    assert made.outcome.value[[0, 1, 6, 8]].tolist() == [[1, 1], [0, 0], [1, 0], [1, 1]]
    assert made.outcome.boxes is not None and made.outcome.boxes.sizes[0].tolist() == [200, 100]


def test_a_target_without_labels_or_with_a_broken_size_is_refused(folder: Path) -> None:
    for more, said in (
        (dict[str, object](), "no labels"),
        ({"labels": ["a", "a"]}, "one twice"),
        ({"labels": ["a"], "size": [3]}, "no width"),
    ):
        with pytest.raises(chiasm.CohortError, match=said):
            cohort(folder, ["a.xml"] * 3, **more)
    with pytest.raises(ValueError, match="no labels"):
        chiasm.Boxes("boxes", ())
    with pytest.raises(chiasm.CohortError, match="no image has a box"):
        chiasm.evaluate(cohort(folder, ["none.txt"] * 30, labels=["a"]), ["single:clinical"], out=None)


def test_a_label_that_nobody_has_is_told(folder: Path) -> None:
    made = cohort(folder, ["a.xml"] * 12, labels=[*LABELS, "blue"])
    (found,) = [own for own in chiasm.check_cohort(made) if "without a box in any image" in own.what]
    assert found.severity == "warning" and "blue" in found.what


def test_texts_come_back_and_overlaps_are_by_hand() -> None:
    marked = cells_of([[["red", 0.1, 0.1, 0.3, 0.4], ["white", 0.5, 0.5, 1, 1]], [["red", 0.1, 0.1, 0.2, 0.4]]])
    again = of_text(as_text(marked.each[0], LABELS), LABELS)
    np.testing.assert_allclose(again.corners, CORNERS)
    assert again.label.tolist() == [0, 1] and again.score.tolist() == [1, 1]
    np.testing.assert_allclose(overlaps(marked.each[0].corners, marked.each[1].corners), [[0.5], [0]])
    for text in ("", "{}", '[["green", 1, 0, 0, 1, 1]]', '[["red", 1, 0, 0, 1]]', '[["red", NaN, 0, 0, 1, 1]]', "[1]"):
        with pytest.raises(ValueError, match="JSON list"):
            of_text(text, LABELS)


def test_what_images_have_on_average_is_by_hand() -> None:
    marked = cells_of([[["red", 0.1, 0.1, 0.3, 0.3]], [["red", 0.3, 0.3, 0.7, 0.7]], []])
    usual = usual_boxes(marked)  # a third of a box less than one on average: one cell, at the mean centre (.35, .35)
    assert usual.label.tolist() == [0] and usual.score == pytest.approx([2 / 3])
    np.testing.assert_allclose(usual.corners, [[0.2, 0.2, 0.5, 0.5]])


def cells_of(cells: list[list[list[object]]]) -> object:
    ids = [str(k) for k in range(len(cells))]
    frame = pd.DataFrame({"found": pd.Series(cells, index=ids, dtype=object)})
    clinical = pd.DataFrame({"age": np.arange(len(ids))}, index=ids)
    made = chiasm.cohort_from_frames(frame, {"clinical": clinical}, target=chiasm.Boxes("found", LABELS))
    assert made.outcome is not None
    return made.outcome.boxes
