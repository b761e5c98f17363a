"""Label maps over HTTP: an image is opened, seen in slices, drawn in by model, click and hand, undone and saved."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import chiasm
from chiasm.segmentation.clicked import Click
from chiasm.segmentation.model import Outliner
from chiasm.serving.faults import Refused
from chiasm.serving.outline.outlines import Outline
from chiasm.serving.outline.pictures import PLANES, place_of, seen
from chiasm.serving.outline.routes import FILES
from chiasm.serving.outline.sessions import IDLE_SECONDS, MOST, Open, Sessions
from chiasm.targets.label_maps import LabelMap, map_of
from outlined_images import AFFINE, SHAPE, codes_of, model_of_pictures, model_of_volumes, open_images, sent, until_drawn
from served_models import asked

Client = TestClient


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("nibabel")
    return model_of_volumes(tmp_path_factory.mktemp("volumes"))


@pytest.fixture(scope="module")
def client(pictures: Path, volumes: Path, served_folder: Path) -> Iterator[Client]:
    with asked([served_folder, pictures, volumes]) as own:
        yield own


@pytest.fixture
def disc(pictures: Path) -> Path:
    return pictures.parent / "shapes" / "p000_one.png"


def test_a_token_is_asked_by_the_same_form_on_every_page(client: Client) -> None:
    pages = [client.get(address, headers={"accept": "text/html"}) for address in ("/", "/outline")]
    forms = [page.text.partition('<form id="access"')[2].partition("</form>")[0] for page in pages]
    assert forms[0] and forms[0] == forms[1] and not any("<!-- access" in page.text for page in pages)
    assert all("script-src 'self'" in page.headers["content-security-policy"] for page in pages)


def test_a_picture_is_drawn_by_the_model_corrected_and_saved(client: Client, pictures: Path, disc: Path) -> None:
    told = open_images(client, {"one": [disc]})
    assert told["shape"] == [1, 32, 32] and told["flat"] and told["forms"] == ["png"] and told["many"] == [0, 0]
    at = f"/outline/{told['id']}"
    values = np.frombuffer(client.get(f"{at}/image/slices/0").content, dtype="<u2").reshape(32, 32)
    own = told["images"]["one"]
    np.testing.assert_array_equal(own["low"] + own["step"] * values, np.asarray(Image.open(disc)))
    assert client.post(f"{at}/draw").status_code == 202
    until_drawn(client, told["id"])
    chiasm.segment(pictures, {"one": disc}, pictures.parent / "offline.png")
    offline = np.asarray(Image.open(pictures.parent / "offline.png"))
    mask = client.get(f"{at}/mask/slices/0").json()
    np.testing.assert_array_equal(codes_of(mask), offline)
    changed = client.put(f"{at}/mask/slices/0", json={"shape": [32, 32], "runs": [5, 3, 2, 1, 2, 1]}).json()
    assert changed["many"] == [2, 3] and changed["undo"] == 2
    saved = client.get(f"{at}/save/png")
    codes = np.asarray(Image.open(io.BytesIO(saved.content)))
    assert saved.headers["content-type"] == "image/png" and codes.reshape(-1)[5:11].tolist() == [2, 2, 2, 0, 1, 1]
    client.post(f"{at}/undo")
    np.testing.assert_array_equal(codes_of(client.get(f"{at}/mask/slices/0").json()), offline)
    assert client.post(f"{at}/undo").json()["many"] == [0, 0]
    assert client.post(f"{at}/undo").json()["undo"] == 0
    client.post(f"{at}/redo")
    assert client.post(f"{at}/redo").json()["many"] == [2, 3] and client.post(f"{at}/redo").json()["redo"] == 0
    assert client.delete(at).json() == {"closed": True} and client.get(at).status_code == 404


def test_a_volume_is_seen_in_three_planes_and_its_map_lies_on_it(client: Client, volumes: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    scan = volumes.parent / "p5.nii.gz"
    told = open_images(client, {"scan": [scan]}, model="scans")
    assert told["shape"] == [5, 9, 11] and np.allclose(told["spacing"], [2.5, 1.2, 0.9]) and told["forms"] == ["nii.gz"]
    at, own = f"/outline/{told['id']}", told["images"]["scan"]
    stored = np.asarray(nibabel.load(scan).dataobj)
    seen_as = {
        "slices": stored[:, :, 3].T, "front": stored[:, 4, ::-1].T, "side": stored[6, :, ::-1].T,
    }  # fmt: skip
    for (plane, expected), number in zip(seen_as.items(), (3, 4, 6), strict=True):
        found = np.frombuffer(client.get(f"{at}/image/{plane}/{number}").content, dtype="<u2").reshape(expected.shape)
        np.testing.assert_allclose(own["low"] + own["step"] * found, expected, atol=own["step"])
    client.put(f"{at}/mask/front/4", json={"shape": [5, 11], "runs": [1, 2, 1]})  # the topmost slice, from the right
    saved = tmp_path / "mask.nii.gz"
    saved.write_bytes(client.get(f"{at}/save/nii.gz").content)
    image = nibabel.load(saved)
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    assert np.argwhere(np.asarray(image.dataobj)).tolist() == [[1, 4, 4], [2, 4, 4]] and image.shape == SHAPE
    client.post(f"{at}/draw")
    drawn = until_drawn(client, told["id"])
    volume = chiasm.segment(volumes, scan, tmp_path / "offline.nii.gz")
    assert drawn["fault"] is None and drawn["many"][0] * 2.5 * 1.2 * 0.9 == pytest.approx(volume["organ"], rel=1e-5)


def test_a_click_takes_what_is_as_bright_and_gives_it_back(client: Client, tmp_path: Path) -> None:
    image = np.full((32, 32), 20, dtype=np.uint8)
    image[4:12, 4:12] = image[20:24, 20:24] = 200
    Image.fromarray(image).save(tmp_path / "a.png")
    told = open_images(client, {"one": [tmp_path / "a.png"]}, model="outliner")
    at = f"/outline/{told['id']}"
    click = {"plane": "slices", "slice": 0, "row": 6, "column": 6, "inside": True, "label": "square", "reach": None}
    assert client.post(f"{at}/click", json=click).json()["many"] == [0, 64]
    mask = client.get(f"{at}/mask/slices/0").json()
    assert mask["clicks"] == [{"row": 6, "column": 6, "inside": True, "label": 2}]
    assert client.post(f"{at}/click", json={**click, "reach": 200}).json()["many"] == [0, 1024]
    outside = {**click, "row": 0, "column": 0, "inside": False, "reach": 30}
    assert client.post(f"{at}/click", json=outside).json()["many"] == [0, 80]
    assert client.post(f"{at}/click", json={**outside, "label": "disc"}).json()["many"] == [0, 80]
    for _ in range(3):
        client.post(f"{at}/undo")
    mask = client.get(f"{at}/mask/slices/0").json()
    assert len(mask["clicks"]) == 1 and len(mask["runs"]) == 24


def test_a_model_that_takes_clicks_is_asked_by_those_of_one_label(
    client: Client, disc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []

    def outlined(_: Outliner, cohort: Any, clicks: Any, labels: Any, before: Any) -> LabelMap:
        heard.append((list(clicks), before.codes))
        codes = before.codes
        for own in clicks:
            codes[own.pixel] = 1 + list(labels).index(own.label) if own.inside else 0
        return map_of(codes)

    monkeypatch.setattr(Outliner, "outlined", outlined, raising=False)
    told = open_images(client, {"one": [disc]}, model="outliner")
    at = f"/outline/{told['id']}"
    assert told["takes_clicks"]
    here = {"plane": "slices", "slice": 0, "column": 6, "reach": None, "by": "model"}
    for row, inside, label in ((3, True, "disc"), (4, True, "square"), (3, False, "disc")):
        asked_so = {**here, "row": row, "inside": inside, "label": label}
        assert client.post(f"{at}/click", json=asked_so).status_code == 200
        many = until_drawn(client, told["id"])["many"]
    assert many == [0, 1] and [len(clicks) for clicks, _ in heard] == [1, 1, 2]
    assert heard[2][0] == [Click((3.0, 6.0), True, "disc"), Click((3.0, 6.0), False, "disc")] and heard[2][1].sum() == 3
    assert client.post(f"{at}/undo").json()["many"] == [1, 1]
    assert [own["row"] for own in client.get(f"{at}/mask/slices/0").json()["clicks"]] == [3, 4]


def test_a_click_goes_on_through_the_slices(client: Client, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = np.zeros(SHAPE, dtype=np.int16)
    volume[2:6, 3:7, 1:4] = 100
    volume[8:10, 3:7, 1:4] = 100  # another one, as bright
    nibabel.save(nibabel.Nifti1Image(volume, AFFINE), tmp_path / "a.nii.gz")
    told = open_images(client, {"scan": [tmp_path / "a.nii.gz"]}, model="scans")
    at = f"/outline/{told['id']}"
    click = {"plane": "slices", "slice": 2, "row": 4, "column": 3, "inside": True, "label": "organ", "reach": 20}
    assert client.post(f"{at}/click", json=click).json()["many"] == [16]
    assert client.post(f"{at}/click", json={**click, "through": True}).json()["many"] == [48]
    aside = {**click, "plane": "side", "slice": 3, "row": 3, "inside": False, "through": True}
    assert client.post(f"{at}/click", json=aside).json()["many"] == [0]
    assert client.post(f"{at}/undo").json()["many"] == [48]


def test_a_mask_that_there_is_already_is_gone_on_with(client: Client, volumes: Path, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    told = open_images(client, {"scan": [volumes.parent / "p2.nii.gz"]}, model="scans")
    at, stored = f"/outline/{told['id']}/mask", nibabel.load(volumes.parent / "map2.nii.gz")
    good = {"request": (None, "{}", "application/json"), "a": ("m.nii.gz", _bytes(stored))}
    assert client.post(at, files=good).json()["many"] == [int(np.asarray(stored.dataobj).sum())]
    moved, codes = AFFINE.copy(), np.asarray(stored.dataobj)
    moved[0, 3] += 2
    for values, affine, words in (
        (codes[1:], AFFINE, "the mask is 5 x 9 x 10 and the image 5 x 9 x 11"),
        (codes, moved, "does not lie where the image does"),
        (2 * codes, AFFINE, "a code that the model does not know"),
        (codes + 0.5, AFFINE, "no label map"),
    ):
        content = _bytes(nibabel.Nifti1Image(values.astype(np.float32), affine))
        files = {"request": (None, "{}", "application/json"), "a": ("m.nii.gz", content)}
        found = client.post(at, files=files)
        assert found.status_code == 422 and words in found.json()["error"]["message"], found.text
    assert "one file" in client.post(at, json={}).json()["error"]["message"]


def _bytes(image: Any) -> bytes:
    return gzip.compress(image.to_bytes())


def test_what_is_wrong_is_said_in_one_sentence(client: Client, volumes: Path, disc: Path, tmp_path: Path) -> None:
    told = open_images(client, {"one": [disc]})
    at = f"/outline/{told['id']}"
    click = {"plane": "slices", "slice": 0, "row": 40, "column": 6, "inside": True, "label": "disc", "reach": None}
    (tmp_path / "note.png").write_text("no image")
    Image.new("L", (16, 16)).save(tmp_path / "small.png")
    (tmp_path / "a.zip").write_bytes(b"PK\3\4 and nothing")
    at_once = {"shape": [32, 32], "runs": [0, 2000, 1]}

    def opened(images: dict[str, list[Path]], **more: str) -> Any:
        return client.post("/outline/open", **sent(images, **more))

    cases: list[tuple[Any, int, str]] = [
        (client.post(f"{at}/click", json=click), 422, "lies outside of the image, which has 32 rows and 32 columns"),
        (client.post(f"{at}/click", json={**click, "row": 4, "label": "liver"}), 422, "the model draws disc, square"),
        (client.post(f"{at}/click", json={**click, "row": 4, "slice": 1}), 404, "no such slice"),
        (client.post(f"{at}/click", json={**click, "row": 4.5}), 422, "whole numbers"),
        (client.post(f"{at}/click", json={"row": 4}), 422, "a click is"),
        (client.post(f"{at}/click", json={**click, "row": 4, "by": "model"}), 422, "takes no clicks"),
        (client.put(f"{at}/mask/slices/0", json={"shape": [32, 31], "runs": []}), 422, "another shape than the slice"),
        (client.put(f"{at}/mask/slices/0", json=at_once), 422, "its runs lie in it, each"),
        (client.put(f"{at}/mask/slices/0", json={**at_once, "runs": [0, 2, 3]}), 422, "each of a label from 1"),
        (client.put(f"{at}/mask/slices/0", json=[1]), 422, "a mask of a slice is"),
        (client.get(f"{at}/image/slices/1"), 404, "no such slice"),
        (client.get(f"{at}/image/above/0"), 404, "no such slice"),
        (client.get(f"{at}/image/slices/-1"), 404, "whole numbers"),
        (client.get(f"{at}/image/slices/0?modality=two"), 404, "was not opened"),
        (client.get(f"{at}/save/nii.gz"), 422, "is saved as png"),
        (opened({"one": [tmp_path / "note.png"]}), 422, "no image that the model reads"),
        (opened({"one": [tmp_path / "a.zip"]}), 422, ".zip is damaged"),
        (opened({"one": [disc], "two": [tmp_path / "small.png"]}), 422, "differ in shape"),
        (opened({"three": [disc]}), 422, "a modality is not known"),
        (opened({"one": [disc]}, model="risk"), 422, "draws no label maps"),
        (opened({"one": [disc]}, model="none"), 404, "no such model"),
        (opened({}), 422, "images"),
        (client.post("/outline/open", json={"images": {"one": {"upload": "a"}}}), 422, "name of its parts"),
        (client.post("/models/outliner/predict", **_patient(disc)), 422, "draws label maps"),
    ]
    for found, status, words in cases:
        assert found.status_code == status and words in found.json()["error"]["message"], found.text
    assert client.get(at).json()["undo"] == 0


def _patient(path: Path) -> dict[str, Any]:
    request = json.dumps({"patients": [{"one": {"upload": "a"}}]})
    return {"files": {"request": (None, request, "application/json"), "a": (path.name, path.read_bytes())}}


def test_a_zip_is_unpacked_and_other_models_go_on(client: Client, disc: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as packed:
        packed.write(disc, "folder/one.png")
        packed.writestr("__MACOSX/._one.png", b"nothing")
    assert open_images(client, {"one": [tmp_path / "one.zip"]})["shape"] == [1, 32, 32]
    models = client.get("/outline/models").json()["models"]
    assert [own["name"] for own in models] == ["outliner", "scans"] and models[0]["labels"] == ["disc", "square"]
    assert client.post("/predict", json={"patients": [{"lab": {"crp": 3.0}}]}).status_code == 200
    assert [own["draws"] for own in client.get("/models").json()["models"]] == [False, True, True]


def test_pages_are_open_and_images_are_their_owners(pictures: Path, disc: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    roles = {"a": "predict", "b": "predict", "c": "metrics"}
    tokens.write_text("".join(f'[{name}]\ntoken = "{name * 24}"\nroles = ["{own}"]\n' for name, own in roles.items()))
    tokens.chmod(0o600)
    trail = tmp_path / "audit.jsonl"
    with asked([pictures], tokens=tokens, audit=trail) as own:
        of = {name: {"Authorization": f"Bearer {name * 24}"} for name in "abc"}
        for address in FILES:
            found = own.get(address)
            assert found.status_code == 200 and "script-src 'self'" in found.headers["content-security-policy"]
        assert own.get("/outline/models").status_code == 401
        assert own.post("/outline/open", headers=of["c"], **sent({"one": [disc]})).status_code == 403
        name = own.post("/outline/open", headers=of["a"], **sent({"one": [disc]})).json()["id"]
        assert own.get(f"/outline/{name}/image/slices/0", headers=of["b"]).status_code == 404
        assert own.delete(f"/outline/{name}", headers=of["b"]).status_code == 404
        assert own.get(f"/outline/{name}/image/slices/0", headers=of["a"]).status_code == 200
        assert own.post(f"/outline/{name}/draw", headers=of["a"]).status_code == 202
        until_drawn(own, name, of["a"])
    said = trail.read_text()
    assert '"outline-open"' in said and '"outline-draw"' in said and disc.name not in said and name not in said


def test_so_many_are_open_so_much_and_so_long() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0], most_bytes=20 * MOST)

    def one(side: int) -> Open:
        return Open("a", None, {}, {}, Outline((1, 1, side), 1), 0.0)  # type: ignore[arg-type]

    with pytest.raises(Refused, match="would take over"):
        sessions.add(one(20 * MOST + 1))
    names = [sessions.add(one(1)) for _ in range(MOST)]
    with pytest.raises(Refused, match="close one, or try later"):
        sessions.require_room()
    now[0] = IDLE_SECONDS - 1
    sessions.of(names[0], "a")
    now[0] = IDLE_SECONDS + 1
    sessions.require_room()
    assert sessions.of(names[0], "a")
    with pytest.raises(Refused, match="open it again"):
        sessions.of(names[1], "a")


def test_places_of_a_slice_are_those_of_the_volume() -> None:
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    for plane in PLANES:
        for number in range(volume.shape[PLANES.index(plane)]):
            view = seen(volume, plane, number)
            for row, column in np.ndindex(view.shape):
                assert volume[place_of((2, 3, 4), plane, number, row, column)] == view[row, column]


def test_changes_by_hand_and_by_model_come_back_in_their_order() -> None:
    rng = np.random.default_rng(0)
    outline, states = Outline((3, 4, 5), 2), [np.zeros((3, 4, 5), dtype=int)]
    for k in range(12):
        if k % 3:
            plane = PLANES[k % 3]
            outline.draw(plane, 1, rng.integers(0, 3, seen(outline.codes, plane, 1).shape))
        else:
            outline.replace(map_of(rng.integers(0, 3, (3, 4, 5))))
        states.append(outline.codes.copy())
        assert outline.many.tolist() == np.bincount(outline.codes.reshape(-1), minlength=3).tolist()
    for back in states[-2::-1]:
        assert outline.undo()
        np.testing.assert_array_equal(outline.codes, back)
    assert not outline.undo()
    for on in states[1:]:
        assert outline.redo()
        np.testing.assert_array_equal(outline.codes, on)
