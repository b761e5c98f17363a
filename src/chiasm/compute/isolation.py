"""Context managers that set thread counts and random states for a piece of work and restore them afterwards."""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import scipy.linalg  # type: ignore[import-untyped]  # noqa: F401 (its BLAS must be loaded to be limited)
import sklearn.utils._openmp_helpers  # type: ignore[import-untyped]  # noqa: F401 (and its OpenMP)
import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

# Below this many multiplications per step, handing work to a second thread costs more than it saves: a small model
# with two threads on busy cores was measured 40 times slower than with one.
SMALL_WORK = 5e8
_found: tuple[int, ThreadpoolController] | None = None


@contextmanager
def threads_for(multiplications: float) -> Iterator[None]:
    """Limit threads by the multiplications per step: to one if they are few, else to the current number.

    Only libraries that are already loaded can be limited, so this file imports those with their own thread pools.
    """
    before = torch.get_num_threads()
    wanted = 1 if multiplications < SMALL_WORK else before
    with loaded_libraries().limit(limits=wanted):
        torch.set_num_threads(wanted)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def loaded_libraries() -> ThreadpoolController:
    """Return a controller of the loaded libraries with thread pools; rebuilt if a module was imported since.

    Cached, because building it takes milliseconds, as long as the fit of a small ridge.
    """
    global _found
    if _found is None or _found[0] != len(sys.modules):
        _found = (len(sys.modules), ThreadpoolController())
    return _found[1]


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Restore Python's generator on exit: packages that are imported at their first use draw from it."""
    python = random.getstate()
    try:
        yield
    finally:
        random.setstate(python)


def seeded(seed: int, name: str = "") -> int:
    """Derive a distinct, reproducible seed for a named part, the same on every machine."""
    return (seed * 1_000_003 + zlib.crc32(name.encode())) % 2**31


@contextmanager
def own_randomness(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed the global random generators and set float32 as default type; restore both on exit."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (saved and restored)
    dtype = torch.get_default_dtype()
    cuda = device.startswith("cuda")
    with torch.random.fork_rng(devices=[torch.device(device)] if cuda else []):
        torch.set_default_dtype(torch.float32)
        torch.default_generator.manual_seed(seed)
        if cuda:
            torch.cuda.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
