"""Shared functions of the conformance checks: reporting a broken law, global state, distances between results."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from chiasm.compute.isolation import loaded_libraries

TOLERANCE = 1e-6
# Tolerance between runs of one float32 network on batches of different sizes: the summation order depends on the
# kernels, which changes each layer's output by about an epsilon (1.2e-7), and networks have tens of layers. ResNet18
# was observed to differ by 10 epsilon.
ROUNDING = 64 * float(np.finfo(np.float32).eps)


def require(holds: bool, law: str, seen: str) -> None:
    """Raise AssertionError with the law and the observation, unless it holds."""
    if not holds:
        raise AssertionError(f"{law}: {seen}")


@contextmanager
def globals_unchanged(what: str) -> Iterator[None]:
    """Check that random states, default dtype, threads, gradient and deterministic mode are unchanged after `what`."""
    before = _globals()
    yield
    after = _globals()
    for name, value in before.items():
        require(
            after.get(name, value) == value,
            "nothing global is left changed",
            f"after {what}, {name} is another one; seed generators of your own, and restore what a library needs set",
        )


def _globals() -> dict[str, Any]:
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    pools = {f"the thread count of {pool['filepath']}": pool["num_threads"] for pool in loaded_libraries().info()}
    return {
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "numpy's random state": (numpy["state"]["key"].tobytes(), numpy["state"]["pos"], numpy["has_gauss"]),
        "python's random state": random.getstate(),
        "torch's default dtype": torch.get_default_dtype(),
        "torch's thread count": torch.get_num_threads(),
        "torch's gradient mode": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
        **pools,
    }


def distance(one: pd.DataFrame, other: pd.DataFrame, scale: pd.DataFrame | None = None) -> float:
    """Compute the largest difference of two predictions, divided by the largest number of `scale` (or `one`) if over 1.

    It is infinite if rows, columns, patterns or texts differ, or a number is missing in only one of them.
    """
    if list(one.index) != list(other.index) or list(one.columns) != list(other.columns):
        return float("inf")
    if list(one["pattern"]) != list(other["pattern"]):
        return float("inf")
    words = words_of(one)
    if any(list(one[name]) != list(other[name]) for name in words):
        return float("inf")
    numbers = [own.drop(columns=words).to_numpy(float) for own in (one, other, one if scale is None else scale)]
    return apart(numbers[0], numbers[1], float(np.nanmax(np.abs(numbers[2]), initial=0.0)))


def words_of(frame: pd.DataFrame) -> list[str]:
    """Columns of a prediction that hold words: the pattern, and a text that is said."""
    return [str(name) for name in frame.columns if frame[name].dtype == object]


def finite(frame: pd.DataFrame) -> bool:
    """True if every number of a prediction is finite and every word is one."""
    words = words_of(frame)
    told = all(isinstance(own, str) for name in words for own in frame[name])
    return told and bool(np.isfinite(frame.drop(columns=words).to_numpy(float)).all())


def apart(one: np.ndarray, other: np.ndarray, scale: float | None = None) -> float:
    """Compute the largest difference of two arrays, divided by `scale` (or the largest entry of `one`) if over 1."""
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return float("inf")
    if not one.size:
        return 0.0
    size = float(np.nanmax(np.abs(one))) if scale is None else scale
    return float(np.nanmax(np.abs(one - other)) / max(1.0, size))


def folder_bytes(save: Any) -> dict[str, bytes]:
    """Return the files that `save(path)` writes, content by name."""
    with TemporaryDirectory() as place:
        folder = Path(place) / "saved"
        save(folder)
        return {
            str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
        }


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """List the files that are not byte-identical in both folders."""
    return sorted(name for name in set(one) | set(other) if one.get(name) != other.get(name))
