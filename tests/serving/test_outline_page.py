"""The page on which label maps are drawn, in a real browser: by pointer, by keyboard, undone, saved, at every width."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browser import SCHEMES, WIDTHS, chromium, faults_of, needs_browser
from outlined_images import model_of_pictures, model_of_series, model_of_volumes
from running_service import running

pytest.importorskip("nibabel")
pytestmark = [needs_browser, pytest.mark.nightly]
BRIGHT = (slice(4, 12), slice(4, 12))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as own:
        yield own


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return tuple(make(tmp_path_factory.mktemp("made")) for make in (model_of_pictures, model_of_volumes))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def pictures(models: tuple[Path, Path]) -> Iterator[str]:
    with running(models[0]) as (base, _):
        yield base


@pytest.fixture(scope="module")
def volumes(models: tuple[Path, Path]) -> Iterator[str]:
    with running(models[1]) as (base, _):
        yield base


@pytest.fixture
def square(tmp_path: Path) -> Path:
    """A picture with a bright square in its corner."""
    image = np.full((32, 32), 20, dtype=np.uint8)
    image[BRIGHT] = 200
    image[22:26, 20:28] = 140
    Image.fromarray(image).save(tmp_path / "square.png")
    return tmp_path / "square.png"


def opened(browser: Any, base: str, file: Path | list[str], width: int = 1400, scheme: str = "light") -> Any:
    """The page with an image that is open."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.set_default_timeout(20_000)
    page.wrong, page.asked = [], set()
    page.on("console", lambda message: page.wrong.append(message.text))
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("request", lambda request: page.asked.add("/".join(request.url.split("/")[:3])))
    page.goto(f"{base}/outline")
    page.wait_for_selector("#opening:not([hidden])")
    page.set_input_files("#file-0", file if isinstance(file, list) else str(file))
    page.click("#open")
    page.wait_for_selector("#work:not([hidden])")
    until(page, "ready()")
    return page


def until(page: Any, expression: str, seconds: float = 60.0) -> None:
    """Wait for something of the page, whose policy forbids what Playwright would wait with."""
    end = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < end, f"{expression} did not come; the page says: {page.inner_text('body')}"
        page.wait_for_timeout(50)


def place(page: Any, row: float, column: float) -> tuple[float, float]:
    """Where a pixel of the slice is on the screen."""
    box = page.locator("#stage").bounding_box()
    sizes = page.evaluate("sizes()")
    return (
        box["x"] + box["width"] * (column + 0.5) / sizes["columns"],
        box["y"] + box["height"] * (row + 0.5) / sizes["rows"],
    )


def click(page: Any, row: float, column: float) -> None:
    """Click, and wait until the mask has come."""
    page.mouse.click(*place(page, row, column))
    until(page, "ready()")


def choose(page: Any, name: str, value: str) -> None:
    page.check(f'input[name="{name}"][value="{value}"]')


def codes(page: Any) -> np.ndarray:
    """The mask that the page shows."""
    sizes = page.evaluate("sizes()")
    return np.array(page.evaluate("[...view.codes]")).reshape(sizes["rows"], sizes["columns"])


def saved(page: Any, to: Path) -> Path:
    with page.expect_download() as found:
        page.click("#save")
    found.value.save_as(to / found.value.suggested_filename)
    return to / str(found.value.suggested_filename)


def test_three_clicks_give_a_mask_that_is_saved(browser: Any, pictures: str, square: Path, tmp_path: Path) -> None:
    page = opened(browser, pictures, square)
    click(page, 6, 6)
    assert page.inner_text("#where") == "row 7, column 7: 200, disc"
    choose(page, "label", "2")
    click(page, 24, 24)
    choose(page, "tool", "outside")
    choose(page, "label", "1")
    click(page, 24, 24)  # which is none of it: nothing goes
    expected = np.zeros((32, 32), dtype=int)
    expected[BRIGHT], expected[22:26, 20:28] = 1, 2
    np.testing.assert_array_equal(codes(page), expected)
    np.testing.assert_array_equal(np.asarray(Image.open(saved(page, tmp_path))), expected)
    assert page.inner_text("#progress") == "The mask is saved." and page.inner_text("#many-0") == "64 pixels"
    assert page.wrong == [] and page.asked == {pictures}
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


def test_three_clicks_in_a_series_give_a_segmentation(
    browser: Any, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    highdicom = pytest.importorskip("highdicom")
    model = model_of_series(tmp_path_factory.mktemp("series"))
    files = [str(path) for path in sorted((model.parent / "p3").iterdir())]
    with running(model) as (base, _):
        page = opened(browser, base, files)
        assert page.inner_text("#where") == "slice 3 of 4" and page.evaluate("view.window.join()") == "-160,240"
        click(page, 3, 5)  # the organ, in its slice
        choose(page, "tool", "outside")
        click(page, 7, 9)  # which is none of it
        choose(page, "tool", "inside")
        page.check("#through")
        click(page, 3, 5)
        seg = highdicom.seg.segread(saved(page, tmp_path))
        many = np.asarray(seg.get_volume(combine_segments=True).array).sum()
        assert many == 2 * 5 * 5 and seg.SegmentSequence[0].SegmentLabel == "organ" and page.wrong == []


def test_what_the_model_draws_is_corrected_by_hand_and_undone(browser: Any, pictures: str, square: Path) -> None:
    page = opened(browser, pictures, square)
    page.click("#draw")
    until(page, "!known.busy && known.undo === 1")
    drawn = codes(page)
    choose(page, "tool", "brush")
    page.fill("#size", "3")
    page.mouse.move(*place(page, 16, 4))
    page.mouse.down()
    page.mouse.move(*place(page, 16, 28), steps=4)
    page.mouse.up()
    until(page, "known.undo === 2")
    assert (codes(page)[15:18, 5:28] == 1).all() and (codes(page)[:14] == drawn[:14]).all()
    choose(page, "tool", "eraser")
    click(page, 16, 16)
    until(page, "known.undo === 3")
    assert codes(page)[16, 16] == 0
    for _ in range(2):
        page.keyboard.press("Control+z")
        until(page, "ready()")
    np.testing.assert_array_equal(codes(page), drawn)
    page.keyboard.press("Control+Shift+Z")
    until(page, "ready()")
    assert (codes(page)[15:18, 5:28] == 1).all() and page.is_enabled("#redo") and page.wrong == []


def test_all_of_it_works_by_keyboard(browser: Any, volumes: str, models: tuple[Path, Path], tmp_path: Path) -> None:
    import nibabel

    page = opened(browser, volumes, models[1].parent / "p3.nii.gz")
    assert page.evaluate("document.activeElement.id") == "stage" and page.evaluate("view.number") == 2
    page.keyboard.press("PageUp")
    until(page, "ready()")
    page.keyboard.press("b")
    for _ in range(9):
        page.keyboard.press("[")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    until(page, "known.undo === 1")
    assert page.inner_text("#where").startswith("slice 4 of 5, row 4, column 5:")
    assert np.argwhere(codes(page)).tolist() == [[3, 4]]
    page.keyboard.press("End")
    until(page, "ready()")
    assert page.evaluate("view.number") == 4 and not codes(page).any()
    page.select_option("#plane", "front")
    until(page, "ready()")
    assert page.evaluate("sizes().many") == 9 and codes(page).shape == (5, 11)
    page.focus("#stage")
    while page.evaluate("view.number") != 3:
        page.keyboard.press("PageDown")
        until(page, "ready()")
    assert np.argwhere(codes(page)).tolist() == [[1, 4]], "the head is up"
    file = saved(page, tmp_path)
    stored = np.asarray(nibabel.load(file).dataobj)
    assert file.name == "mask.nii.gz" and np.argwhere(stored).tolist() == [[4, 3, 3]] and page.wrong == []


def test_a_mask_of_a_file_is_gone_on_with_and_a_large_image_is_scrolled(
    browser: Any, volumes: str, models: tuple[Path, Path]
) -> None:
    page = opened(browser, volumes, models[1].parent / "p3.nii.gz")
    page.set_input_files("#given", str(models[1].parent / "map3.nii.gz"))
    until(page, "known.undo === 1 && !known.busy")
    assert codes(page).sum() == 5 * 5
    page.check("#through")
    choose(page, "tool", "outside")
    page.fill("#reach", "100")
    page.focus("#stage")
    for key in ("+", "+", "+", "+", *["ArrowDown"] * 3):
        page.keyboard.press(key)
    assert page.evaluate("view.zoom") == 3 and page.evaluate("at('frame').scrollTop") > 0
    for key in (*["ArrowUp"] * 4, "Enter"):
        page.keyboard.press(key)
    until(page, "known.undo === 2 && ready()")
    assert page.inner_text("#many-0") != "0.203 ml" and page.wrong == [] and faults_of(page) == []
    page.set_input_files("#given", str(models[1].parent / "p3.nii.gz"))
    until(page, "document.getElementById('trouble').textContent.includes('no label map')")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_wrong_with_it_at_any_width(
    browser: Any, volumes: str, models: tuple[Path, Path], width: int, scheme: str
) -> None:
    page = opened(browser, volumes, models[1].parent / "p1.nii.gz", width, scheme)
    click(page, 3, 3)
    choose(page, "tool", "brush")
    page.click("summary")
    assert faults_of(page) == [] and page.wrong == []
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("#close")
    page.wait_for_selector("#opening:not([hidden])")
    assert faults_of(page) == [] and page.is_hidden("#work")


def test_what_is_no_image_is_said_and_the_page_goes_on(browser: Any, pictures: str, square: Path) -> None:
    page = opened(browser, pictures, square)
    page.click("#close")
    page.wait_for_selector("#opening:not([hidden])")
    (square.parent / "note.png").write_text("no image")
    page.click("#open")
    assert page.inner_text("#trouble") == "Choose a file first."
    page.set_input_files("#file-0", str(square.parent / "note.png"))
    page.click("#open")
    until(page, "document.getElementById('trouble').textContent.includes('no image that the model reads')")
    page.set_input_files("#file-0", str(square))
    page.click("#open")
    page.wait_for_selector("#work:not([hidden])")
    assert page.is_hidden("#trouble")


def test_the_first_page_leads_here(browser: Any, pictures: str) -> None:
    page = browser.new_page()
    page.goto(pictures)
    page.click("text=It draws label maps")
    page.wait_for_selector("#opening:not([hidden])")
    assert page.url == f"{pictures}/outline"


def test_a_closed_image_is_said_and_can_be_opened_again(browser: Any, pictures: str, square: Path) -> None:
    page = opened(browser, pictures, square)
    page.evaluate("ask(`outline/${view.id}`, { method: 'DELETE' })")
    page.mouse.click(*place(page, 6, 6))
    page.wait_for_selector("#opening:not([hidden])")
    assert "open it again" in page.inner_text("#trouble")
