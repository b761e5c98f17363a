"""Lighthouse finds no page of the site that somebody cannot use, where `make lighthouse` has brought it."""

from __future__ import annotations

import gzip
import importlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from browser import needs_browser

ROOT = Path(__file__).parents[1]
MADE = ("gallery.html", "notebooks/merge_hospitals.html")


@pytest.fixture(scope="module")
def lighthouse() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "website"))
        return importlib.import_module("lighthouse")


def test_every_page_that_it_is_asked_about_is_one_of_the_site(lighthouse: Any) -> None:
    docs = {own.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for own in (ROOT / "docs").rglob("*.md")}
    others = {own for own in lighthouse.KINDS if own not in docs}
    reference = (f"reference/{name}.html" for name in ("python", "commands", "promises"))
    assert others == {"index.html", "404.html", *MADE, *reference}


def test_the_site_is_served_as_a_host_of_pages_does(lighthouse: Any, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<p>words</p>" * 200, encoding="utf-8")
    with lighthouse.served(tmp_path) as base, urllib.request.urlopen(f"{base}/page.html") as told:
        body = told.read()
        assert told.headers["Content-Encoding"] == "gzip" and "max-age" in told.headers["Cache-Control"]
    assert gzip.decompress(body) == (tmp_path / "page.html").read_bytes() and len(body) < 200


@needs_browser
@pytest.mark.nightly
def test_nothing_serious_is_found(lighthouse: Any, tmp_path: Path) -> None:
    if not lighthouse.PROGRAM.exists():
        pytest.skip("no Lighthouse: make lighthouse brings it")
    subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)], check=True,
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    with lighthouse.served(tmp_path) as base:
        for name in ("index.html", "guides/worth-it.html", "try-a-verdict.html", *MADE, "reference/python.html"):
            found = lighthouse.asked(f"{base}/{name}", "mobile")
            assert found["failed"] == [] and found["scores"]["accessibility"] == 100, (name, found)
