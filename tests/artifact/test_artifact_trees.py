"""What a model folder and a checkpoint may hold: any tree of numbers, words and arrays comes back as it was."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm import artifact
from examples import examples


@artifact.storable("test-part")
@dataclass(frozen=True)
class Part:
    """Everything a tree may hold."""

    text: str
    number: float
    pair: tuple[int, float]
    many: tuple[str, ...]
    maybe: str | None
    array: np.ndarray
    parts: dict[str, Any] = field(default_factory=dict)


texts = st.text(max_size=8)
arrays = st.builds(
    lambda shape, dtype: (np.arange(np.prod(shape)) % 2).reshape(shape).astype(dtype),
    st.lists(st.integers(0, 3), max_size=3),
    st.sampled_from(["float32", "float64", "int64", "uint8", "bool", "complex64"]),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
trees = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | finite | texts | arrays,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.'", max_size=4), inner, max_size=3),
    max_leaves=8,
)


def same(first: Any, second: Any) -> bool:
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


@settings(max_examples=examples(80, day=8), deadline=None)
@given(tree=st.dictionaries(st.text("ab.'", max_size=4), trees, max_size=4), array=arrays, text=texts, number=finite)
def test_every_tree_comes_back(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any], array: np.ndarray, text: str, number: float
) -> None:
    place = tmp_path_factory.mktemp("tree")
    artifact.save_checkpoint(place / "state.safetensors", tree)
    assert same(tree, artifact.load_checkpoint(place / "state.safetensors"))
    part = Part(text, number, (1, number), (text, text), None, array, tree)
    artifact.save(place / "part", part)
    found = artifact.load(place / "part")
    assert isinstance(found, Part) and same(vars(part), vars(found) | {"pair": found.pair, "many": found.many})
    shutil.rmtree(place)


def test_names_with_dots_do_not_take_each_others_place(tmp_path: Path) -> None:
    numbers = [np.full(2, k) for k in range(5)]
    tree = {"a.b": numbers[0], "a": {"b": numbers[1], "b'": numbers[2]}, "c": [numbers[3]], "c.0": numbers[4]}
    artifact.save_checkpoint(tmp_path / "state.safetensors", tree)
    assert same(tree, artifact.load_checkpoint(tmp_path / "state.safetensors"))
