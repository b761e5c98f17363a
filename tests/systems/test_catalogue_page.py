"""The page of the catalogue is as the catalogue is, its links lead to sections, and its filter keeps what it says."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from catalogue_page import COLUMNS, PAGE, ROOT, SECTIONS, cells, page, slug

from browser import SCHEMES, WIDTHS, chromium, faults_of, needs_browser
from chiasm.systems.entry import NEEDS
from chiasm.systems.reading import systems

SCRIPT = ROOT / "docs" / "javascripts" / "catalogue.js"
NODE = shutil.which("node")


def test_the_page_is_as_the_catalogue_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run PYTHONPATH=src python tests/systems/catalogue_page.py"


def test_links_of_the_page_lead_to_sections() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, anchor in re.findall(r"\]\((\w+\.md)#([\w-]+)\)", text):
        headings = re.findall(r"^#+ (.+)$", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {slug(heading) for heading in headings}, f"{name}#{anchor}"
    assert {name for own in systems().values() for name in own.recipes} <= set(SECTIONS)


@pytest.mark.skipif(NODE is None, reason="no node: make services brings it")
def test_the_filter_keeps_what_it_says() -> None:
    entry = {
        "data": ["any"], "targets": ["survival", "mask"], "needs": ["labels", "paired"], "held": "whole",
        "licence": "open", "text": "cmta cross-modal",
    }  # fmt: skip
    asked = [
        ({}, True), ({"data": "image"}, True), ({"targets": "survival"}, True), ({"targets": "boxes"}, False),
        ({"needs": "paired"}, False), ({"needs": "weights"}, True), ({"held": "part"}, False),
        ({"text": " Cross-Modal "}, True), ({"data": "image", "licence": "copyleft"}, False),
    ]  # fmt: skip
    licences = {
        "MIT": "open", "x/y, Apache-2.0": "open", "x/y, GPL-3.0": "copyleft", "CC BY-NC 4.0": "not for every use",
        "CC BY-ND 4.0": "not for every use", "CC BY 4.0": "open", "none stated": "none stated",
        "closed": "not for every use", "no code found": "not found or not read",
        "no files found": "not found or not read",
        "a-mit/research, no licence read": "not found or not read", "nd-lab/GPL-closed, not stated": "none stated",
        "research/nc, MIT": "open", "x/research": "none stated",
        "weights behind a gate, code not read": "not for every use",
        "Apache-2.0; that of MAE upstream is CC BY-NC": "not for every use",
    }  # fmt: skip
    code = (
        f"const own = require({json.dumps(str(SCRIPT))}); const entry = {json.dumps(entry)};"
        f"const asked = {json.dumps([given for given, _ in asked])}; const texts = {json.dumps(list(licences))};"
        "console.log(JSON.stringify([asked.map((one) => own.kept(entry, one)), texts.map(own.licence)]))"
    )
    done = subprocess.run([str(NODE), "-e", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[stays for _, stays in asked], list(licences.values())]


@needs_browser
@pytest.mark.nightly
def test_the_filter_in_a_browser(tmp_path: Path) -> None:
    place = tmp_path / "catalogue.html"
    place.write_text(plain_page(), encoding="utf-8")
    with chromium() as own:
        for scheme in SCHEMES:
            for width in WIDTHS:
                sheet = own.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
                sheet.goto(place.as_uri())
                assert sheet.get_by_role("status").inner_text() == f"{len(systems())} systems"
                assert faults_of(sheet) == []
                sheet.close()
        sheet = own.new_page()
        sheet.goto(place.as_uri())
        sheet.get_by_label("target").select_option("boxes")
        boxes = [one for one in systems().values() if "boxes" in one.targets]
        assert sheet.locator("tbody tr:visible").count() == len(boxes)
        sheet.get_by_label("target").select_option("")
        sheet.get_by_label("without").select_option("paired")
        without = [one for one in systems().values() if "paired" not in one.needs]
        assert sheet.get_by_role("status").inner_text() == f"{len(without)} of {len(systems())} systems"
        sheet.get_by_label("words").fill("no such system")
        assert sheet.locator("h2:visible").count() == 0


def plain_page() -> str:
    """The tables in plain HTML, with the filter's script and no site around them."""
    families: dict[str, list[str]] = {}
    for one in systems().values():
        row = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(one))
        families.setdefault(one.family, []).append(f"<tr>{row}</tr>")
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    tables = "".join(
        f"<h2>{family}</h2><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        for family, rows in families.items()
    )
    style = ":root { color-scheme: light dark } table { display: block; overflow-x: auto }"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Catalogue</title>'
        f"<style>{style}</style></head>"
        f'<body><main><h1>Catalogue</h1><div id="catalogue-filter"></div>{tables}</main>'
        f"<script>{SCRIPT.read_text(encoding='utf-8')}</script></body></html>"
    )


def test_the_filter_knows_every_need() -> None:
    """What `without` offers is read off the rows, so that each need is a word without a comma."""
    assert all("," not in need and ";" not in need for need in NEEDS)
