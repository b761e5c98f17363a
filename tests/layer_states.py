"""State dicts of the layers that networks are made of, drawn from a seed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness

State = dict[str, Tensor]

MODULES: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(5, 4),
    "conv1d": lambda: nn.Conv1d(2, 3, 3),
    "conv2d": lambda: nn.Conv2d(2, 3, 3),
    "conv3d": lambda: nn.Conv3d(1, 2, 3),
    "layer-norm": lambda: nn.LayerNorm(6),
    "batch-norm": lambda: nn.BatchNorm2d(6),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "embedding": lambda: nn.Embedding(5, 3),
    "network": lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2, bias=False)),
}


def draw(module: str, seed: int, dtype: torch.dtype = torch.float32) -> State:
    """A state as training may leave it: every weight drawn, variances above zero, a count of batches."""
    generator = torch.Generator().manual_seed(seed)
    state = fresh(module)
    for key, value in state.items():
        if not value.is_floating_point():
            state[key] = torch.randint(0, 1000, value.shape, generator=generator)
        elif key.endswith("running_var"):
            state[key] = (torch.rand(value.shape, generator=generator) + 0.1).to(dtype)
        else:
            state[key] = torch.randn(value.shape, generator=generator).to(dtype)
    return state


def fresh(module: str) -> State:
    """A state as PyTorch makes it: norms are ones and zeros."""
    with own_randomness(0):
        return {key: value.clone() for key, value in MODULES[module]().state_dict().items()}


def weights_of(state: State) -> State:
    """The state without statistics and counts."""
    return {key: value for key, value in state.items() if "running" not in key and "num_batches" not in key}


def assert_same(found: State, expected: State, *, exact: bool = False) -> None:
    """Alike in names, order, dtypes and values."""
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        if exact or not value.is_floating_point():
            assert torch.equal(found[key], value), key
        else:
            torch.testing.assert_close(
                found[key], value, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
            )
