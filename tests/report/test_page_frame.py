"""The frame of the page: its contents, the numbers of its sections, its one script, and the contrast of its colours."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from itertools import pairwise

import pytest

from chiasm.evaluation import Protocol
from chiasm.palette import DARK, LIGHT, VERDICTS
from chiasm.report import write_report
from chiasm.report.drawing import INK, QUIET, Picture
from chiasm.report.sections import SECTIONS, Placed, refer
from fake_trials import synthetic_trial
from html_page import Page

SCHEMES = {"light": LIGHT, "dark": DARK}
TONES = ("", "pays", "does-not-pay", "predicts-more-patients", "cannot-tell")
TEXT, MARK = 4.5, 3.0  # WCAG 2.2, success criteria 1.4.3 and 1.4.11


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    trial = synthetic_trial("classification", n=90, protocol=Protocol(folds=2, repeats=1, draws=100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Picture, "source", "data:image/svg+xml;base64,")
        return Page(write_report(trial, tmp_path_factory.mktemp("page") / "report.html"))


def test_contents_headings_and_sections_are_one_list(page: Page) -> None:
    listed = re.findall(r'<li><a href="#(\w+)">(\d+)\. ', page.source)
    headings = re.findall(r'<h2 id="h-(\w+)">(\d+)\. ', page.source)
    sections = re.findall(r'<section (?:class="[^"]*" )?id="(\w+)" aria-labelledby="h-(\w+)">', page.source)
    assert listed == headings and [number for _, number in listed] == [str(k + 1) for k in range(len(listed))]
    assert sections == [(anchor, anchor) for anchor, _ in listed]
    shown = [anchor for anchor, _ in listed]
    assert shown == [own.anchor for own in SECTIONS if own.anchor in shown] and len(shown) >= 9
    assert not {"sites", "external", "sealed"} & set(shown), "there is nothing for them"
    assert {own.anchor for own in SECTIONS if own.always} <= set(shown)


def test_every_link_leads_to_a_place_of_the_page_and_no_reference_is_left(page: Page) -> None:
    targets = [value[1:] for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert len(targets) > 20 and set(targets) <= set(page.ids)
    assert "§" not in page.text


def test_a_reference_is_the_number_of_its_section_and_other_text_is_escaped() -> None:
    sections = [Placed(1, "verdict", "", ""), Placed(2, "cohort", "", "")]
    assert refer("<b> (§cohort)", sections) == '&lt;b&gt; (<a href="#cohort">2</a>)'
    assert refer("§elsewhere<i>", sections) == "§elsewhere&lt;i&gt;"


def test_headings_are_in_order_and_all_is_labelled(page: Page) -> None:
    levels = [int(name[1]) for name in page.headings]
    assert levels[0] == 1 and all(after <= before + 1 for before, after in pairwise(levels))
    assert all(image["alt"].strip() for image in page.images)
    heads = re.findall(r"<th[ >][^>]*", page.source)
    assert heads and all("scope=" in head for head in heads)
    groups = re.findall(r'<div class="scroll"[^>]*>', page.source)
    assert groups and all('role="group" aria-label="' in group and 'tabindex="0"' in group for group in groups)
    assert '<html lang="en">' in page.source and '<nav aria-label="' in page.source


def test_the_script_is_ours_alone_and_the_page_allows_no_other(page: Page) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.S)
    assert script == files("chiasm.report").joinpath("page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page.source)
    assert policy == (f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'")
    assert not re.search(r"fetch|XMLHttp|import|eval|innerHTML|document\.write|localStorage|cookie", script)
    assert not re.search(r"\son\w+=", page.source)


def colours(scheme: str, word: str) -> dict[str, str]:
    """The colours of a scheme, with the tone of a word of the verdict over the others."""
    own = (
        {"tone": VERDICTS[word][2 * (scheme == "dark")], "tint": VERDICTS[word][2 * (scheme == "dark") + 1]}
        if word
        else {}
    )
    return {name: value for name, value in (SCHEMES[scheme] | own).items() if re.fullmatch(r"#\w{6}", value)}


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_the_formula_of_contrast() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21) and contrast("#777777", "#ffffff") < TEXT


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: str) -> None:
    for tone in TONES:
        palette = colours(scheme, tone)
        assert len(palette) >= 14, palette
        grounds = [palette[name] for name in ("paper", "tint", "wash")]
        for name in ("ink", "quiet", "leak", "needed"):
            assert min(contrast(palette[name], ground) for ground in grounds) >= TEXT, (scheme, tone, name)
        assert (
            contrast(palette["tone"], palette["tint"]) >= TEXT and contrast(palette["tone"], palette["paper"]) >= TEXT
        )
        assert contrast(palette["on-tone"], palette["tone"]) >= TEXT, (scheme, tone)
        for name in ("accent", "leak"):  # buttons, links and trouble, on a page and on the site
            assert (
                contrast(palette[name], palette["paper"]) >= TEXT and contrast(palette[name], palette["wash"]) >= TEXT
            )
        assert contrast(palette["on-tone"], palette["accent"]) >= TEXT
        assert contrast(palette["leak"], palette["leak-tint"]) >= TEXT
        assert min(contrast(palette[name], palette["paper"]) for name in ("low", "high")) >= MARK
        assert contrast(palette["accepted"], palette["tint"]) >= MARK
        sheet = palette.get("sheet", palette["tint"])  # pictures lie on a light sheet in the dark
        assert min(contrast(INK, sheet), contrast(QUIET, sheet)) >= TEXT, (scheme, tone)


def test_a_page_without_its_pictures_is_small(page: Page) -> None:
    assert len(page.source.encode()) < 300_000
