"""A language model is named by a path that holds from everywhere, and is found again where it was brought."""

from __future__ import annotations

from pathlib import Path

import pytest

from chiasm.cohort import Unsupported
from chiasm.language import language_model
from chiasm.language.language_model import BROUGHT, LanguageFile, language_file

OPENED = list[str]()


def opened(path: str) -> tuple[None, None, str, int]:
    """Stands for what reads the files, and breaks off once it knows which."""
    OPENED.append(path)
    return None, None, Path(path).read_text(), 8


def test_a_relative_path_holds_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "_opened", opened)
    (tmp_path / "small.gguf").write_text("hash")
    monkeypatch.chdir(tmp_path)
    named = language_file("small.gguf")
    assert named == LanguageFile(str(tmp_path / "small.gguf"), "hash") and named.place.is_absolute()


def test_on_another_machine_it_is_looked_for_where_the_variable_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "_opened", opened)
    named = LanguageFile("/nowhere/models/small.gguf", "hash")
    monkeypatch.delenv(BROUGHT, raising=False)
    with pytest.raises(Unsupported, match=f"'small.gguf' is not where it was at the fit.*{BROUGHT}"):
        named.open()
    (tmp_path / "small.gguf").write_text("another")
    monkeypatch.setenv(BROUGHT, str(tmp_path))
    with pytest.raises(Unsupported, match="is not that of the fit"):
        named.open()
    assert OPENED[-1] == str(tmp_path / "small.gguf")
