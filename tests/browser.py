"""Chromium as the tests use it, and what they ask of every page of ours in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: make services brings it")
WIDTHS, SCHEMES = (390, 800, 1400), ("light", "dark")


@contextlib.contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """A browser that is closed afterwards, with further options of its command line."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as own:
        started = own.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", *options])
        yield started
        started.close()


def faults_of(page: Any) -> list[str]:
    """What axe finds in a page as it stands, and whether it is wider than its window."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = [f"{own['id']} ({own['impact']})" for own in axe.Axe().run(page).response["violations"]]
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return [*found, *(["wider than its window"] if wide else [])]
