"""The site is built without a warning, asks nothing of any other machine, and can be read and searched by all."""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import SCHEMES, WIDTHS, chromium, faults_of, needs_browser

pytest.importorskip("mkdocs")
pytest.importorskip("material")
ROOT = Path(__file__).parents[1]
KINDS = (
    "index.html", "verdict.html", "guides/index.html", "guides/worth-it.html", "try-a-verdict.html", "glossary.html",
    "catalogue.html", "benchmarks.html", "gallery.html", "notebooks/from_frames.html",
    "reference/python.html", "reference/commands.html", "reference/promises.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, in a folder of its own."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--quiet", "--site-dir", str(out)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site served on a port of this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def fetched(text: str) -> list[str]:
    """What a browser fetches by itself with a page: scripts, styles, pictures, frames."""
    found = []
    for tag in re.findall(r"<(?:script|img|iframe|source|link|object|video|audio|embed)\b[^>]*>", text):
        if re.search(r"""\brel=["']?(canonical|next|prev)\b""", tag) is None:
            found += re.findall(r"""\b(?:src|href|data|srcset)=["']?([^"'\s>]+)""", tag)
    return found


def test_every_page_of_docs_is_built_and_its_resources_lie_beside_it(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file()
    for page in site.rglob("*.html"):
        for own in fetched(page.read_text(encoding="utf-8")):
            assert re.match(r"([a-z]+:)?//", own) is None, f"{page.name} fetches {own}"
            if not own.startswith(("data:", "#")) and page.name != "404.html":
                assert (page.parent / own.partition("?")[0].partition("#")[0]).exists(), f"{page.name}: no {own}"
    for style in site.rglob("*.css"):
        assert re.search(r"(url\(|@import )[\"']?(https?:)?//", style.read_text(encoding="utf-8")) is None, style.name


def test_a_resource_from_elsewhere_would_be_found() -> None:
    text = '<a href="https://a.org">a</a><link rel="stylesheet" href="https://b.org/x.css"><script src="//c.org/y.js">'
    assert fetched(text) == ["https://b.org/x.css", "//c.org/y.js"]


def test_what_is_asked_for_stands_in_the_index_of_the_search(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    assert any("missing modalit" in own["text"].lower() for own in entries)
    for name, word in (("python", "evaluate"), ("commands", "chiasm open-seal"), ("promises", "Promises")):
        assert any(own["location"].startswith(f"reference/{name}.html#") and own["title"] == word for own in entries)


@needs_browser
@pytest.mark.nightly
def test_the_search_finds_a_missing_modality(address: str) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{address}/index.html")
        page.locator(".md-search__input").fill("missing modality")
        found = page.locator(".md-search-result__item")
        found.first.wait_for(timeout=20_000)
        assert found.count() > 3


@needs_browser
@pytest.mark.nightly
@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_can_read_every_kind_of_page(address: str, scheme: str) -> None:
    with chromium() as browser:
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            asked: list[str] = []
            page.on("request", lambda own, asked=asked: asked.append(own.url))
            for name in KINDS:
                page.goto(f"{address}/{name}")
                assert faults_of(page) == [], (name, width)
            assert [own for own in asked if not own.startswith((address, "data:"))] == []
            page.close()
