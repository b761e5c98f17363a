"""The page of the service in a real browser: what is entered, what is told, and what happens where all is not well."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import SCHEMES, WIDTHS, chromium, faults_of, needs_browser
from running_service import running
from served_models import as_json, frames

playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")
pytestmark = needs_browser
TOKEN = "a-token-of-the-ward-1234"
Page = Any
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as own:
        yield own


@pytest.fixture(scope="module")
def service(served_folder: Path) -> Iterator[str]:
    with running(served_folder) as (base, _):
        yield base


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open the page of a service; afterwards nothing was said on the console, and nobody else was asked."""
    contexts, said, asked = [], list[str](), set[str]()

    def open_page(base: str, width: int = 800, scheme: str = "light", ready: str = "#patient:not([hidden])") -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
        page.goto(base)
        page.wait_for_selector(ready)
        page.base = base
        return page

    yield open_page
    for context in contexts:
        context.close()
    unexpected = [line for line in said if "Failed to load resource" not in line]  # told on the page
    assert unexpected == [] and len(asked) <= 1


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        control = page.get_by_label(name, exact=True)
        control.select_option(label=value) if control.evaluate("e => e.tagName") == "SELECT" else control.fill(value)


def predict(page: Page) -> None:
    page.click("#predict")
    page.wait_for_selector("#answer:not([hidden])")


def test_one_modality_is_predicted_as_offline_and_the_rest_is_told_absent(opened: Open, service: str) -> None:
    import httpx

    page = opened(service)
    fill(page, age="64", stage="IV")
    predict(page)
    body = {"patients": [{"clinical": {"age": 64, "bmi": None, "code": None, "stage": "IV"}}]}
    (offline,) = httpx.post(f"{service}/predict", json=body).json()["patients"]
    told = page.inner_text("#classes")
    for name, value in offline["prediction"].items():
        assert f"{100 * value:.1f} %" in told and name.removeprefix("p_") in told
    assert page.inner_text("#absent").startswith("Absent, and not guessed: lab, rna")
    assert "bmi, code" in page.inner_text("#told") and page.url.rstrip("/") == service
    assert page.evaluate("document.activeElement.id") == "answer"  # a screen reader goes on there
    page.wait_for_selector("#shares")
    assert "clinical" in page.inner_text("#shares") and "lab" not in page.inner_text("#shares")


@pytest.mark.nightly
def test_all_of_it_and_then_nothing_is_left(opened: Open, service: str) -> None:
    patients, blocks = frames(7)
    key = patients.index[6]
    (patient,) = as_json(blocks, [key])["patients"]
    page = opened(service)
    fill(page, **{name: str(value) for own in patient.values() for name, value in own.items() if value is not None})
    predict(page)
    assert page.inner_text("#absent") == "Every part is there."
    page.click("#forget")
    assert page.is_hidden("#answer") and page.inner_text("#told") == ""
    assert page.get_by_label("age", exact=True).input_value() == ""
    assert page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert page.url.rstrip("/") == service


def test_what_is_wrong_is_told_at_its_field_and_kept(opened: Open, service: str) -> None:
    page = opened(service)
    for name, value, words in (
        ("age", "64,5", "a point and no comma"),
        ("crp", "95000", "far outside"),
        ("age", "old", "Write a number"),
    ):
        fill(page, **{"age": "", "crp": "", name: value})
        page.click("#predict")
        control = page.get_by_label(name, exact=True)
        page.wait_for_selector(f'#{control.get_attribute("id")}[aria-invalid="true"]')
        described = control.get_attribute("aria-describedby").split()[-1]
        assert words in page.inner_text(f"#{described}") and control.input_value() == value
        assert page.evaluate("document.activeElement.id") == control.get_attribute("id") and page.is_hidden("#answer")


GENES = [f"g{number}" for number in range(1, 41)]
MORE: dict[str, Any] = {
    "genes": {"properties": {name: {"type": ["number", "null"]} for name in GENES}},
    "records": {"type": ["array", "null"], "x-kind": "events"},
    "note": {"type": ["string", "null"], "x-kind": "text"},
    "visit": {"properties": {}, "x-kind": "table"},
    "trace": {"x-kind": "ecg"},
}


def pasted(opened: Open, service: str) -> tuple[Page, list[Any]]:
    """A page of a model that reads `MORE` too, by its schema, and the bodies that it sends."""
    import json

    def schema(route: Any) -> None:
        answer = route.fetch()
        own = answer.json()
        own["properties"]["patients"]["items"]["properties"] |= MORE
        route.fulfill(response=answer, json=own)

    sent: list[Any] = []

    def predicted(route: Any) -> None:
        sent.append(json.loads(route.request.post_data)["patients"][0])
        route.fulfill(status=422, json={"error": {"code": "made-up", "message": "taken"}})

    page = opened(service)
    page.context.route("**/schema", schema)
    page.context.route("**/predict", predicted)
    page.reload()
    page.wait_for_selector("#patient:not([hidden])")
    return page, sent


def test_pasted_lines_have_one_separator_and_what_is_ambiguous_is_refused_at_its_field(
    opened: Open, service: str
) -> None:
    page, sent = pasted(opened, service)
    genes, records, _ = page.locator("textarea").all()
    comma, cells, twice = "a point and no comma", "cells", "stands twice"
    for control, text, words in (
        (genes, "g1;g2;g3\n1,5;2,3;0,1", comma),
        (genes, "g1;1,5", comma),
        (genes, "g1,1,5", cells),
        (genes, "g1,g2,g3\n1,2", cells),
        (genes, "g1;1\ng2,2", cells),
        (genes, "g1,1\ng1,2", twice),
        (genes, "g1,g2,g1\n1,2,3", twice),
        (genes, 'g1,"1', "quotation mark"),
        (genes, "toString,1", "None of the model's columns"),
        (records, "1;LOINC//x;2,5", comma),
        (records, "1,LOINC//x,2,5", cells),
        (records, "1;A;2\n2,B,3", "no code"),
    ):
        for one in (genes, records):
            one.fill("")
        control.fill(text)
        page.click("#predict")
        page.wait_for_selector('[aria-invalid="true"]')
        assert words in page.inner_text(f"#{control.get_attribute('id')}-wrong"), text
    assert sent == []
    for text in ("g1\tg2\tg3\r\n1.5\t\t0.1", "g1;g2;g3\n1.5;NA;0.1", '"g1",1.5\ng3,0.1', "g1,g3\n1.5,.1"):
        genes.fill(text)
        records.fill("1;LOINC//x;2.5\n2;LOINC//y")
        page.click("#predict")
        page.wait_for_selector("#trouble:text-is('taken')")
        found = sent.pop()
        assert {name: value for name, value in found["genes"].items() if value is not None} == {"g1": 1.5, "g3": 0.1}
        assert found["records"] == [
            {"hours": 1, "code": "LOINC//x", "numeric_value": 2.5},
            {"hours": 2, "code": "LOINC//y", "numeric_value": None},
        ]


@pytest.mark.nightly
def test_a_text_a_table_without_columns_and_files_are_read_each_in_its_way(
    opened: Open, service: str, tmp_path: Path
) -> None:
    page, _ = pasted(opened, service)
    assert page.evaluate("patientOf()") == {}
    files = [tmp_path / name for name in ("record.hea", "record.dat")]
    for file in files:
        file.write_bytes(b"made up")
    page.get_by_label("text", exact=True).fill("Lives alone.")
    page.get_by_label("The patient has it.").check()
    page.get_by_label("ecg: choose or drop").set_input_files(files)
    assert page.evaluate("patientOf()") == {"note": "Lives alone.", "visit": {}, "trace": {"upload": "trace"}}
    assert page.evaluate("[...bodyOf(patientOf()).body.keys()]") == ["request", "trace", "trace"]
    page.click("#forget")
    assert page.evaluate("patientOf()") == {}


@pytest.mark.parametrize("change", ["forget", pytest.param("type", marks=pytest.mark.nightly)])
def test_an_answer_to_what_is_no_longer_entered_is_thrown_away(opened: Open, service: str, change: str) -> None:
    page = opened(service)
    held: list[Any] = []
    fill(page, age="64")
    predict(page)
    page.wait_for_selector("#shares")
    fill(page, age="65")  # the answer to 64 does not stand beside 65
    assert page.is_hidden("#answer")
    page.route("**/predict", lambda route: held.append(route))
    page.click("#predict")
    until = time.monotonic() + 20
    while not held and time.monotonic() < until:
        page.wait_for_timeout(20)
    page.click("#forget") if change == "forget" else fill(page, age="66")
    with contextlib.suppress(playwright.Error):  # nobody may be waiting for it
        held[0].continue_()
    page.wait_for_timeout(400)
    assert page.is_hidden("#answer") and page.text_content("#told") == "" and page.is_enabled("#predict")
    told = page.inner_text("#progress")
    assert told == (
        "Everything that was entered is gone." if change == "forget" else "What was entered has changed: predict again."
    )
    page.unroute("**/predict")
    fill(page, age="67")
    predict(page)


def test_a_lost_connection_is_told_and_what_was_entered_is_kept(opened: Open, served_folder: Path) -> None:
    with running(served_folder) as (base, stop):
        page = opened(base)
        fill(page, age="64")
        stop()
        page.click("#predict")
        page.wait_for_selector("#trouble:not([hidden])")
        assert "cannot be reached" in page.inner_text("#trouble") and "kept" in page.inner_text("#trouble")
        assert page.get_by_label("age", exact=True).input_value() == "64"


def test_a_token_is_asked_for_and_kept_in_the_page_alone(opened: Open, served_folder: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "token"
    tokens.write_text(TOKEN)
    tokens.chmod(0o600)
    with running(served_folder, tokens=tokens) as (base, _):
        page = opened(base, ready="#access:not([hidden])")
        assert page.is_hidden("#patient")
        page.fill("#token", "another")
        page.click("#access button")
        page.wait_for_selector("#trouble:not([hidden])")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("#patient:not([hidden])")
        fill(page, crp="9.5")
        predict(page)
        assert TOKEN not in page.content() + page.url
        page.evaluate("known.token = 'an-older-token-of-the-ward'")  # as when the file of tokens is another
        page.click("#predict")
        page.wait_for_selector("#access:not([hidden])")
        assert page.is_hidden("#answer") and "kept" in page.inner_text("#trouble")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector("#access", state="hidden")
        assert page.get_by_label("crp", exact=True).input_value() == "9.5"
        predict(page)
        page.reload()
        page.wait_for_selector("#access:not([hidden])")


@pytest.mark.nightly
def test_a_combination_that_training_never_had_is_told(opened: Open, tmp_path: Path) -> None:
    import chiasm
    from lighter_trials import only_ridges

    patients, blocks = frames(90)
    both = blocks["clinical"].index.intersection(blocks["rna"].index)
    own = {"clinical": blocks["clinical"].loc[both], "rna": blocks["rna"].loc[both]}
    target = chiasm.Classification("sick")
    with only_ridges():
        cohort = chiasm.cohort_from_frames(patients.loc[both], own, target=target, kinds={"rna": "omics"})
        chiasm.fit(cohort, "late-fusion", seed=0).save(tmp_path / "model")
    with running(tmp_path / "model") as (base, _):
        page = opened(base)
        fill(page, age="64")
        predict(page)
        assert "No training patient had this combination" in page.inner_text("#told")


@pytest.mark.nightly
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1400, "light")])
def test_whom_a_patient_is_like_is_told_in_bands(opened: Open, tmp_path: Path, width: int, scheme: str) -> None:
    import chiasm
    from lighter_trials import only_ridges
    from served_models import cohort

    with only_ridges():
        chiasm.fit(cohort(140), "single:lab", seed=0, keep_similar=20).save(tmp_path / "model")
    with running(tmp_path / "model") as (base, _):
        page = opened(base, width, scheme)
        fill(page, crp="9.5")
        predict(page)
        page.wait_for_selector("#similar")
        told = page.inner_text("#alike")
        assert "20 or more" in told and told.count("%") >= 2 and "no second prediction" in told
        assert faults_of(page) == []
        page.click("#forget")
        assert page.inner_text("#told") == ""


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (390, "dark"),
        *(pytest.param(w, s, marks=pytest.mark.nightly) for w in WIDTHS for s in SCHEMES),
    ],
)
def test_it_fits_the_screen_and_axe_finds_nothing(opened: Open, service: str, width: int, scheme: str) -> None:
    page = opened(service, width, scheme)
    for filled in (False, True):
        if filled:
            fill(page, age="64", crp="9.5")
            predict(page)
            page.wait_for_selector("#shares")
        assert faults_of(page) == []
