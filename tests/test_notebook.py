"""The notebooks of docs/ show what they show: run again, each says the same, and nothing of a patient."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
NAMES = [own.stem for own in FILES]
LONGEST = 12_000  # characters of one output: it fits on a screen
MOST = 400_000  # bytes of a notebook with its pictures: it lies in the repository
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:e-?\d+)?")
CLOSE = (
    0.02  # of a number on another machine, whose sums are rounded otherwise: an end of an interval has moved no digit
)


@pytest.fixture(scope="module")
def notebooks() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "website"))
        return importlib.import_module("notebooks")


def outputs(cell: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Type and content of what a cell showed, a picture by its type alone."""
    for out in cell.get("outputs", []):
        for mime, data in {**out.get("data", {}), out.get("name", ""): out.get("text", "")}.items():
            text = "".join(data)
            if text:
                yield mime, "" if mime.startswith("image/") else text


def apart(one: str, other: str) -> list[str]:
    """What differs between two texts: their words, or a number by more than another machine may bring."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return [f"{one!r} and {other!r}"]
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    numbers = [(float(a.replace(",", "")), float(b.replace(",", ""))) for a, b in pairs]
    return [f"{a} and {b}" for a, b in numbers if abs(a - b) > CLOSE * max(1.0, abs(a))]


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_notebook_was_run_whole_and_shows_no_patient(notebooks: Any, name: str) -> None:
    file = notebooks.NOTEBOOKS / f"{name}.ipynb"
    code = [cell for cell in notebooks.cells_of(file) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "python website/notebooks.py"
    assert file.stat().st_size < MOST and "/home/" not in file.read_text("utf-8")
    shown = [own for cell in code for own in outputs(cell)]
    assert any("Verdict" in text for mime, text in shown if mime == "text/html") and ("image/png", "") in shown
    for mime, text in shown:
        assert mime != "stderr" and not re.search(r"\b(case|[abc])-\d{3}\b", text), "an identifier is shown"
        assert len(text) < LONGEST


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_has_each_cell_and_what_it_showed(notebooks: Any, name: str) -> None:
    text, pictures = notebooks.page(name)
    cells = notebooks.cells_of(notebooks.NOTEBOOKS / f"{name}.ipynb")
    assert text.startswith(f"# {notebooks.titled(f'docs/notebooks/{name}.ipynb')}\n\nThe notebook: <a download")
    assert text.count("```python\n") == sum(cell["cell_type"] == "code" for cell in cells)
    assert len(pictures) == text.count('<img class="drawn"') == sum("image/png" in dict(outputs(c)) for c in cells) > 0
    assert all(own.startswith(b"\x89PNG") for own in pictures.values())


def test_a_word_or_a_number_that_differs_is_found() -> None:
    assert apart("n = 1,200, 0.81 (0.79 to 0.83)", "n = 1,200, 0.82 (0.79 to 0.83)") == []
    assert apart("0.81", "0.84") == ["0.81 and 0.84"] and apart("1,200", "1,300") == ["1200.0 and 1300.0"]
    assert apart("pays 0.81", "does not pay 0.81") == ["'pays 0.81' and 'does not pay 0.81'"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", NAMES)
def test_run_again_it_shows_the_same(notebooks: Any, name: str, tmp_path: Path) -> None:
    notebooks.ran(name, tmp_path / "again.ipynb")
    before = notebooks.cells_of(notebooks.NOTEBOOKS / f"{name}.ipynb")
    for cell, again in zip(before, notebooks.cells_of(tmp_path / "again.ipynb"), strict=True):
        told, anew = list(outputs(cell)), list(outputs(again))
        assert [mime for mime, _ in told] == [mime for mime, _ in anew], cell["id"]
        for (_, one), (_, other) in zip(told, anew, strict=True):
            assert apart(one, other) == [], f"{cell['id']}: python website/notebooks.py {name}"
