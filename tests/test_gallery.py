"""The gallery shows every kind of page that the program writes, and can make each anew."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "chiasm"
MOST = 1_500_000  # bytes of all pictures: they lie in the repository


@pytest.fixture(scope="module")
def gallery() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "website"))
        return importlib.import_module("gallery")


def written() -> set[str]:
    """Templates and files of whole pages, below the source."""
    files = [*SOURCE.rglob("*.html.j2"), *SOURCE.rglob("*.html")]
    return {own.relative_to(SOURCE).as_posix() for own in files if "<!doctype html>" in own.read_text("utf-8").lower()}


def test_every_kind_of_page_has_its_place_and_its_maker(gallery: Any) -> None:
    assert {own.template for own in gallery.ALL.values()} == written() and len(written()) >= 15
    for own in gallery.ALL.values():
        source = (ROOT / "website" / f"gallery_{'service' if own.served else 'pages'}.py").read_text("utf-8")
        assert f"\ndef {own.name.replace('-', '_')}(folder: Path" in source, own.name
        assert (ROOT / "docs" / own.read).is_file() and own.how.startswith("chiasm ")


def test_pictures_are_those_of_the_list_and_small(gallery: Any) -> None:
    pictures = {own.stem: own.stat().st_size for own in gallery.PICTURES.iterdir()}
    expected = {name + end for name in gallery.ALL for end in gallery.SCHEMES.values()}
    assert set(pictures) == expected and sum(pictures.values()) < MOST


def test_a_picture_leads_to_its_page_only_where_that_was_made(gallery: Any) -> None:
    with_pages, without = gallery.page(["pays"]), gallery.page()
    assert re.findall(r'href="gallery/([\w-]+)\.html"', with_pages) == ["pays"] and "make gallery" not in with_pages
    assert "href=" not in without and "make gallery" in without
    assert len(re.findall(r'<img [^>]*alt="[^"]+"', without)) == 2 * len(gallery.ALL)


def test_what_is_no_page_of_it_is_told(gallery: Any) -> None:
    with pytest.raises(SystemExit, match="the gallery has no 'payz': there are pays, does-not-pay"):
        gallery.main(["payz"])


@pytest.mark.nightly
def test_every_page_is_made_anew(gallery: Any, tmp_path: Path) -> None:
    """Each trial must end in the word under which the gallery shows it."""
    program = "import sys, pathlib, gallery; gallery.MADE = pathlib.Path(sys.argv[1]); gallery.main([])"
    path = os.pathsep.join([str(ROOT / "website"), str(ROOT / "src")])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "made")], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    made = {own.stem for own in (tmp_path / "made").iterdir()}
    assert made == {own.name for own in gallery.ALL.values() if not own.served}
