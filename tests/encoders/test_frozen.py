"""The hash of a network's weights: of every dtype, and the bytes alone decide."""

from __future__ import annotations

import hashlib

import pytest
import torch

from chiasm.encoders.frozen import hash_state


def test_the_hash_is_of_names_shapes_dtypes_and_bytes() -> None:
    state = {"b": torch.arange(3.0), "a": torch.tensor(7)}
    text = b"a()torch.int64" + state["a"].numpy().tobytes() + b"b(3,)torch.float32" + state["b"].numpy().tobytes()
    assert hash_state(state) == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.bool])
def test_every_dtype_has_a_hash(dtype: torch.dtype) -> None:
    one, other = torch.ones(2, 3).to(dtype), torch.zeros(2, 3).to(dtype)
    assert hash_state({"w": one}) == hash_state({"w": one.clone()}) != hash_state({"w": other})
