"""Models that draw label maps for the tests of the page, and images opened at a service."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

import chiasm
from mask_cohorts import opened, organ_cohort, volume_cohort

AFFINE = np.array([[-0.9, 0, 0, 30], [0, -1.2, 0, 4], [0, 0, 2.5, -7], [0, 0, 0, 1]])
SHAPE = (11, 9, 5)
"""Of the made volumes as their files have them: right to left, back to front, foot to head."""


def model_of_pictures(folder: Path) -> Path:
    """A model of two contrasts of pictures, which lie in `shapes` beside it."""
    cohort = opened(folder / "shapes", 10)
    chiasm.fit(cohort, "unet:width=4,depth=1,epochs=1,crops=1", seed=0).save(folder / "outliner")
    return folder / "outliner"


def model_of_volumes(folder: Path) -> Path:
    """A model of one volume, which lie beside it as `p0.nii.gz` and so on."""
    rng, made = np.random.default_rng(3), []
    for k in range(10):
        codes = np.zeros(SHAPE, dtype=np.uint8)
        codes[3:8, 2 : 4 + k % 4, 1:4] = 1
        made.append((codes * 50 + rng.normal(0, 5, SHAPE), codes, AFFINE))
    cohort = chiasm.encode(chiasm.open_cohort(volume_cohort(folder, made))).cohort
    chiasm.fit(cohort, "unet:width=4,depth=1,epochs=1,crops=1,window=8", seed=0).save(folder / "scans")
    return folder / "scans"


def model_of_series(folder: Path) -> Path:
    """A model of one DICOM series a patient, which lie beside it as the folders `p0` and so on."""
    from chiasm.readers.image.dicom import DicomReader
    from chiasm.segmentation.files import write_map
    from chiasm.targets.label_maps import map_of
    from made_series import written_series

    rng, rows = np.random.default_rng(4), []
    for k in range(10):
        codes = np.zeros((4, 9, 11), dtype=np.int64)
        codes[1:3, 2 : 4 + k % 4, 3:8] = 1
        written_series(folder / f"p{k}", codes * 100 + rng.integers(-5, 6, codes.shape))
        read = DicomReader().read(folder / f"p{k}")
        write_map(folder / f"map{k}.nii.gz", map_of(codes, read.spacing), [1], folder / f"p{k}")
        rows.append({"id": f"p{k}", "map": f"map{k}.nii.gz"})
    manifest = organ_cohort(folder, rows, "ct", 'kind = "dicom"\npath = "{id}"')
    cohort = chiasm.encode(chiasm.open_cohort(manifest)).cohort
    chiasm.fit(cohort, "unet:width=4,depth=1,epochs=1,crops=1,window=8", seed=0).save(folder / "cts")
    return folder / "cts"


def model_of_clicks(folder: Path) -> Path:
    """A model of two contrasts of pictures that takes clicks; the pictures lie in `shapes` beside it."""
    cohort = opened(folder / "shapes", 10)
    chiasm.fit(cohort, "sam-med2d:epochs=1,width=16,depth=1,size=32,patch=8,clicks=1", seed=0).save(folder / "asked")
    return folder / "asked"


def sent(images: dict[str, list[Path]], **more: Any) -> dict[str, Any]:
    """What a request to open images is made of."""
    document = {"images": {name: {"upload": f"part-{name}"} for name in images}, **more}
    files: list[tuple[str, Any]] = [("request", (None, json.dumps(document), "application/json"))]
    files += [(f"part-{name}", (path.name, path.read_bytes())) for name, own in images.items() for path in own]
    return {"files": files}


def open_images(client: TestClient, images: dict[str, list[Path]], **more: Any) -> dict[str, Any]:
    """Open images; what the page is told of them."""
    found = client.post("/outline/open", **sent(images, **more))
    assert found.status_code == 200, found.text
    told: dict[str, Any] = found.json()
    return told


def until_drawn(client: TestClient, name: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Wait until a model has drawn."""
    end = time.monotonic() + 60
    while (found := client.get(f"/outline/{name}", headers=headers).json())["state"] == "drawing":
        assert time.monotonic() < end
        time.sleep(0.02)
    return dict(found)


def codes_of(mask: dict[str, Any]) -> np.ndarray:
    """The codes of a slice's mask as it is sent."""
    flat, place = np.zeros(int(np.prod(mask["shape"])), dtype=int), 0
    for gap, length, label in np.reshape(mask["runs"], (-1, 3)):
        flat[place + gap : place + gap + length] = label
        place += gap + length
    return flat.reshape(mask["shape"])
