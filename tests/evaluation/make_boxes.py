"""Writes `fixtures/boxes.json`: average precision of made detections by pycocotools, no score tied.

It runs in an environment of its own, `pip install pycocotools numpy`: `python tests/evaluation/make_boxes.py`.
"""

from __future__ import annotations

import contextlib
import io
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

PLACE = Path(__file__).parent / "fixtures" / "boxes.json"
LABELS, IMAGES, SIDE = 3, 12, 100.0


def drawn(rng: np.random.Generator, most: int) -> tuple[list[list[list[float]]], list[list[list[float]]]]:
    """Boxes of images, `[label, left, top, right, bottom]`, and what is found there, with a score after the label."""
    truth, found = [], []
    for image in range(IMAGES):
        rows = []
        for _ in range(int(rng.integers(0, most))):
            corner, size = rng.uniform(0, 70, 2), rng.uniform(4, 30, 2)
            rows.append([int(rng.integers(0, LABELS - (image > 3))), *corner, *(corner + size)])
        near = [row for row in rows if rng.random() < 0.8 for _ in range(int(rng.integers(1, 3)))]
        said = []
        for label, *box in near:
            moved = np.array(box) + rng.normal(0, 2.0, 4)
            label = label if rng.random() < 0.9 else int(rng.integers(0, LABELS))
            said.append([label, float(rng.random()), *np.r_[moved[:2], np.maximum(moved[2:], moved[:2] + 1)]])
        truth.append([[row[0], *(round(float(own), 4) for own in row[1:])] for row in rows])
        found.append([[row[0], row[1], *(round(float(own), 4) for own in row[2:])] for row in said])
    return truth, found


def of_coco(truth: list[list[list[float]]], found: list[list[list[float]]]) -> dict[str, object]:
    """Average precision by pycocotools: of all, at .5, at .75, and of each label; NaN without a box of it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    gt = COCO()
    each = [(image, row) for image, rows in enumerate(truth) for row in rows]
    gt.dataset = {
        "images": [{"id": k + 1, "width": SIDE, "height": SIDE} for k in range(len(truth))],
        "categories": [{"id": k + 1} for k in range(LABELS)],
        "annotations": [
            {
                "id": k + 1, "image_id": image + 1, "category_id": row[0] + 1, "iscrowd": 0,
                "bbox": [row[1], row[2], row[3] - row[1], row[4] - row[2]],
                "area": (row[3] - row[1]) * (row[4] - row[2]),
            }
            for k, (image, row) in enumerate(each)
        ],
    }  # fmt: skip
    gt.createIndex()
    said = [
        {
            "image_id": image + 1, "category_id": row[0] + 1, "score": row[1],
            "bbox": [row[2], row[3], row[4] - row[2], row[5] - row[3]],
        }
        for image, rows in enumerate(found)
        for row in rows
    ]  # fmt: skip
    run = COCOeval(gt, gt.loadRes(said), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    precision = run.eval["precision"][:, :, :, 0, 2]  # thresholds, recalls, labels
    means = np.where(precision > -1, precision, np.nan).mean(axis=(0, 1))
    return {"map": run.stats[0], "map_50": run.stats[1], "map_75": run.stats[2], "labels": means.tolist()}


def main() -> None:
    cases = []
    for seed, most in enumerate((3, 6, 12, 30)):
        truth, found = drawn(np.random.default_rng(seed), most)
        with contextlib.redirect_stdout(io.StringIO()):
            known = of_coco(truth, found)
        cases.append({"side": SIDE, "truth": truth, "found": found, "known": known})
    versions = {name: version(name) for name in ("pycocotools", "numpy")}
    PLACE.write_text(json.dumps({"versions": versions, "cases": cases}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
