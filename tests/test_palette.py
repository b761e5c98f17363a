"""One look: no page, picture or page of the site has a colour, a font or a size of heading of its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chiasm import palette

ROOT = Path(__file__).parents[1]
FOLDERS = ("src/chiasm", "docs/stylesheets", "docs/javascripts", "website")
KNOWN = {
    *palette.LIGHT.values(), *palette.DARK.values(), *palette.SERIES, palette.GAINS, palette.FOR, palette.AGAINST,
    *(own for tones in palette.VERDICTS.values() for own in tones),
}  # fmt: skip
OVER_IMAGES = {"#000", "#fff"}  # a cross on a scan, in light and dark alike
QUOTED = re.compile(r"[\"\'`](#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8}))[\"\'`]")
DECLARED = re.compile(r"[\w-]+\s*:[^;{}]*?(#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3}))\b")


def colours_in(file: Path, text: str) -> set[str]:
    """Colours that a file of the source names: quoted in code, declared in style."""
    styled = file.name.endswith((".css", ".css.j2"))
    return {own.lower() for own in (DECLARED if styled else QUOTED).findall(text)}


def sources() -> list[Path]:
    endings = (".py", ".css", ".css.j2", ".js", ".html", ".html.j2")
    files = [own for folder in FOLDERS for own in (ROOT / folder).rglob("*") if own.name.endswith(endings)]
    return [own for own in files if "made" not in own.relative_to(ROOT).parts and own.name != "palette.py"]


def test_no_colour_is_named_elsewhere() -> None:
    assert len(sources()) > 1000
    for file in sources():
        found = colours_in(file, file.read_text(encoding="utf-8"))
        allowed = OVER_IMAGES if "outline" in file.parts else set()
        assert found <= allowed, f"{file.relative_to(ROOT)} has {found - allowed}: chiasm.palette names colours"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.css", "#add { color: #abcdef; }", {"#abcdef"}), ("a.css", "a { border: 1px solid #123; }", {"#123"}),
        ("a.py", 'x = "#ABCDEF"', {"#abcdef"}), ("a.py", "adult#001", set()), ("a.js", "'#fff'", {"#fff"}),
    ],
)  # fmt: skip
def test_a_colour_is_seen(name: str, text: str, expected: set[str]) -> None:
    assert colours_in(Path(name), text) == expected


def test_pages_take_type_and_fonts_from_it() -> None:
    pages = [own for own in sources() if own.name in ("style.css.j2", "page.css", "site.css")]
    assert len(pages) == 3
    for file in pages:
        text = file.read_text(encoding="utf-8")
        assert all(f"font-size: var(--{name})" in text for name in ("h1", "h2", "h3")), file.name
        assert "system-ui" not in text and "Menlo" not in text and "var(--font)" in text, file.name


def test_both_schemes_have_every_colour_and_every_variable_is_declared() -> None:
    assert set(palette.LIGHT) == set(palette.DARK) and len(KNOWN) > 40
    declared = set(re.findall(r"--([\w-]+):", palette.stylesheet()))
    for file in sources():
        if file.name.endswith((".css", ".css.j2")):
            text = file.read_text(encoding="utf-8")
            own = set(re.findall(r"(--[\w-]+)\s*:", text))
            used = set(re.findall(r"var\((--[\w-]+)\)", text))
            assert {name[2:] for name in used - own if not name.startswith("--md-")} <= declared, file.name
