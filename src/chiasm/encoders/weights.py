"""Loading of user-supplied weights: safetensors only, hashed into the identity, and never partially loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.cohort import Unsupported
from chiasm.encoders.frozen import hash_files

Stamp = tuple[tuple[str, int, int], ...]
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".tar")


def weights_file(place: str) -> Path:
    """Return the safetensors file that `weights=` names, or the only one in the folder that it names.

    Raises:
        Unsupported: there is no such file, there are several, or the weights are pickled.
    """
    path = Path(place)
    found = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if path.suffix.lower() in PICKLED or (not found and any(file.suffix in PICKLED for file in path.iterdir())):
        raise Unsupported(
            "pickled weights can run code when they are read: where you trust them, read them with torch.load and "
            "write the state with safetensors.torch.save_file, then name that file"
        )
    if len(found) != 1 or not found[0].is_file() or found[0].suffix != ".safetensors":
        raise Unsupported("weights= names no safetensors file, and no folder with a single one")
    return found[0]


def stamp_of(folder: str, by: str = "chiasm pretrain") -> Stamp:
    """Return names, times and sizes of the files of a folder that `weights=` names, which change when it does.

    Args:
        by: the command that writes such a folder.

    Raises:
        Unsupported: there is no such folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise Unsupported(
            f"weights= names no folder: give the one that {by} wrote, whole, or from where the command runs or the "
            "manifest lies"
        )
    stats = [(file.name, file.stat()) for file in sorted(place.iterdir()) if file.is_file()]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def hash_of(files: tuple[Path, ...]) -> str:
    """Compute `frozen.hash_files`, cached until a file's size or modification time changes."""
    return _hash_as_of(files, tuple((file.stat().st_mtime_ns, file.stat().st_size) for file in files))


@lru_cache(maxsize=64)
def _hash_as_of(files: tuple[Path, ...], stamps: tuple[tuple[int, int], ...]) -> str:
    return hash_files(files)


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name, without the prefix `module.` that parallel training adds.

    Raises:
        ValueError: the file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(file)
    except (SafetensorError, OSError, ValueError):
        raise ValueError("the weights are truncated or not safetensors: copy the file again") from None
    return {name.removeprefix("module."): value for name, value in state.items()}


def fill(network: nn.Module, state: Mapping[str, Tensor], spare: tuple[str, ...] = ()) -> None:
    """Load a state into a network; names that start with one of `spare` may be missing or left over.

    Raises:
        ValueError: the tensors are of another network.
    """
    own = network.state_dict()
    odd = [name for name in {*own} ^ {*state} if not name.startswith(spare)]
    odd += [name for name in {*own} & {*state} if own[name].shape != state[name].shape]
    if odd:
        raise ValueError(
            f"the weights are of another network: '{sorted(odd)[0][:80]}' is missing, left over or of another shape"
        )
    network.load_state_dict({name: value for name, value in state.items() if name in own}, strict=False)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's CPU generator inside the context, and restore its state afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also change the GPU generators
        yield


def frozen(network: Any) -> Any:
    """Freeze a network in place: evaluation mode, float32, no gradients."""
    return network.float().eval().requires_grad_(False)
