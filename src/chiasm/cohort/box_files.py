"""Read the files of boxes, one an image: Pascal VOC, COCO, YOLO or a table, recognised by their name's end."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cell_files import read_named
from chiasm.limits import BOXES_BYTES
from chiasm.targets.box_cells import Drawn
from chiasm.targets.channel_cells import Unread

Size = tuple[float, float]
NOT_SAID = (float("nan"), float("nan"))
COLUMNS = ("label", "x0", "y0", "x1", "y1")
SIZED = "the size of its image stands nowhere"
ONE_EACH = "write one file an image, as .xml"
CROWD = Unread(
    "names an image with a region that stands for many objects (`iscrowd`), and is no box of one",
    "draw a box for each of them, or take these annotations away",
)


def read_boxes(folder: Path | None, cells: Sequence[object], size: Size = NOT_SAID) -> NDArray[np.object_]:
    """Read the boxes of every cell that is a path; lists, and JSON that begins with `[`, stay; empty cells are None.

    `file.json#name.jpg` is the image of that name in a COCO file of several.

    Args:
        folder: what paths are relative to, and must not leave; None where whoever made the cohort gave them.
        size: width and height of the images in pixels, for tables, which do not say it.

    Returns:
        (n,) objects: `Drawn`, None, or an `Unread` that says what is wrong with a file.
    """
    found = np.full(len(cells), None, dtype=object)
    seen: dict[str, Any] = {}
    for place, cell in enumerate(cells):
        name = str(cell).strip() if isinstance(cell, str | Path) else ""
        if not name or name.startswith("["):
            found[place] = None if isinstance(cell, str) and not name else cell
            continue
        path, _, image = name.partition("#")
        if path not in seen:
            seen[path] = read_named(folder, path, READERS, ONE_EACH, BOXES_BYTES, lambda file: _read(file, size))
        found[place] = _of_image(seen[path], image)
    return found


def _read(path: Path, size: Size) -> Any:
    """The boxes of a file; of a COCO file a dictionary by the name of the image."""
    ending = path.suffix.lower()
    try:
        return READERS[ending](path.read_text(encoding="utf-8-sig"), size)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError):
        return Unread(f"names a {ending} file that is damaged, or no file of boxes", "write it again")


def _of_image(found: Any, image: str) -> object:
    """The boxes of one image of a COCO file; of another file all."""
    if not isinstance(found, dict):
        return Unread("names one image of a file that is no COCO", "take away `#...`") if image else found
    if not image and len(found) == 1:
        return next(iter(found.values()))
    if image in found:
        return found[image]
    if not image:
        return Unread(f"names a .json file of {len(found):,} images", "name one, as annotations.json#image.jpg")
    return Unread("names an image that its .json file does not have", "write its file_name after `#`")


def _of_voc(text: str, size: Size) -> object:
    """Pascal VOC: `xmin` to `ymax` in pixels, and the size of the image."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return Unread("names an .xml file with a document type of its own", "write it without <!DOCTYPE>")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return Unread("names an .xml file that is damaged", "write it again")
    names, rows = [], []
    for own in root.iter("object"):
        names.append(_text(own, "name"))
        rows.append([float(_text(own, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")])
    said = (
        (float(_text(root, "size/width")), float(_text(root, "size/height"))) if root.find("size") is not None else size
    )
    return _in_shares(names, rows, said)


def _text(own: ElementTree.Element, path: str) -> str:
    found = own.findtext(path)
    if found is None or not found.strip():
        raise ValueError(path)
    return found.strip()


def _of_coco(text: str, size: Size) -> object:
    """COCO: `bbox` is left, top, width and height in pixels; categories have names. A crowd is no box, and refused."""
    held = json.loads(text)
    category = {own["id"]: str(own["name"]) for own in held["categories"]}
    names: dict[Any, list[str]] = {own["id"]: [] for own in held["images"]}
    rows: dict[Any, list[list[float]]] = {own["id"]: [] for own in held["images"]}
    crowded = {own["image_id"] for own in held["annotations"] if own.get("iscrowd")}
    for own in held["annotations"]:
        left, top, width, height = (float(value) for value in own["bbox"])
        names[own["image_id"]].append(category[own["category_id"]])
        rows[own["image_id"]].append([left, top, left + width, top + height])
    return {
        str(own["file_name"]): CROWD
        if own["id"] in crowded
        else _in_shares(names[own["id"]], rows[own["id"]], (float(own["width"]), float(own["height"])))
        for own in held["images"]
    }


def _of_yolo(text: str, size: Size) -> object:
    """YOLO: the number of the label from 0, then the centre, width and height in shares of the image, a line a box."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    numbers = np.array([[float(own) for own in line] for line in lines], dtype=np.float64).reshape(-1, 5)
    labels = tuple(int(own[0]) for own in lines)
    centre, half = numbers[:, 1:3], numbers[:, 3:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    edge = np.clip(corners, 0.0, 1.0)  # centres and sizes are rounded where they are written
    return Drawn(labels, np.where(np.abs(corners - edge) < 1e-4, edge, corners))


def _of_table(text: str, size: Size) -> object:
    """A table with the columns label, x0, y0, x1 and y1 in pixels, and `width` and `height` where it says the size."""
    reader = csv.DictReader(text.splitlines())
    columns = [name.strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in COLUMNS if name not in columns]:
        return Unread(f"names a .csv file without the column '{missing[0]}'", f"write {', '.join(COLUMNS)}")
    reader.fieldnames = columns
    lines = list(reader)
    said = (
        {(float(own["width"]), float(own["height"])) for own in lines} if {"width", "height"} <= {*columns} else {size}
    )
    if len(said) > 1:
        return Unread("names a .csv file of images of several sizes", "write one file an image")
    rows = [[float(own[name]) for name in COLUMNS[1:]] for own in lines]
    return _in_shares([str(own["label"]).strip() for own in lines], rows, next(iter(said), size))


def _in_shares(names: Sequence[str], rows: Sequence[Sequence[float]], size: Size) -> Drawn | Unread:
    """Boxes in pixels as shares of the image."""
    if not rows and not all(math.isfinite(own) and own > 0 for own in size):
        return Drawn((), np.zeros((0, 4)))
    if any(math.isnan(own) for own in size):
        return Unread(
            f"names a file of boxes in pixels, and {SIZED}", "add columns width and height, or `size` to [target]"
        )
    if not all(math.isfinite(own) and own > 0 for own in size):
        return Unread("names a file whose image has no size", "write its width and height in pixels")
    return Drawn(tuple(names), np.array(rows, np.float64).reshape(-1, 4) / np.array([*size, *size]), size)


READERS: dict[str, Callable[[str, Size], Any]] = {
    ".xml": _of_voc,
    ".json": _of_coco,
    ".txt": _of_yolo,
    ".csv": _of_table,
}
