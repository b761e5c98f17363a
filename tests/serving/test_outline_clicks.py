"""Clicks of the page that a model is asked by: of one label, upon what is drawn, in a thread that the page looks at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import chiasm
from chiasm.segmentation.clicked import Click
from chiasm.targets.label_maps import map_of
from outlined_images import codes_of, model_of_clicks, open_images, until_drawn
from served_models import asked

pytest.importorskip("transformers")
pytestmark = pytest.mark.nightly  # by day a model that is made up is asked, in test_outline_service.py
HERE = {"plane": "slices", "slice": 0, "row": 10, "column": 12}
CLICK = {**HERE, "inside": True, "label": "disc", "reach": None, "by": "model"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of_clicks(tmp_path_factory.mktemp("clicks"))


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[TestClient]:
    with asked([model]) as own:
        yield own


def test_a_click_asks_the_model_and_leaves_the_other_labels(client: TestClient, model: Path) -> None:
    one = model.parent / "shapes" / "p003_one.png"
    told = open_images(client, {"one": [one]})
    at, before = f"/outline/{told['id']}", np.zeros((32, 32), dtype=int)
    assert told["takes_clicks"]
    before[2, 3:9] = 2
    client.put(f"{at}/mask/slices/0", json={"shape": [32, 32], "runs": [67, 6, 2]})
    assert client.post(f"{at}/click", json=CLICK).json()["state"] in ("drawing", "idle")
    assert until_drawn(client, told["id"])["fault"] is None
    mask = client.get(f"{at}/mask/slices/0").json()
    expected = chiasm.outline(model, {"one": one}, [Click((10.0, 12.0), True, "disc")], map_of(before))
    np.testing.assert_array_equal(codes_of(mask), expected.codes)
    assert mask["clicks"] == [{"row": 10, "column": 12, "inside": True, "label": 1}]
    client.post(f"{at}/click", json={**CLICK, "row": 3, "inside": False})
    until_drawn(client, told["id"])
    both = [Click((10.0, 12.0), True, "disc"), Click((3.0, 12.0), False, "disc")]
    expected = chiasm.outline(model, {"one": one}, both, expected)
    np.testing.assert_array_equal(codes_of(client.get(f"{at}/mask/slices/0").json()), expected.codes)
    for _ in range(2):
        client.post(f"{at}/undo")
    mask = client.get(f"{at}/mask/slices/0").json()
    assert mask["clicks"] == [] and (codes_of(mask) == before).all()


def test_a_click_outside_and_one_into_something_else_are_refused(client: TestClient, model: Path) -> None:
    told = open_images(client, {"one": [model.parent / "shapes" / "p003_one.png"]})
    refusals = ({"row": 32}, "outside of the image"), ({"by": "guess"}, "a click is"), ({"more": 1}, "a click is")
    for wrong, words in refusals:
        found = client.post(f"/outline/{told['id']}/click", json={**CLICK, **wrong})
        assert found.status_code == 422 and words in found.json()["error"]["message"]
