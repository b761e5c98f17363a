"""Read one bag file: a token matrix in NumPy, HDF5 or safetensors format, recognised by content, not by name."""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm import room
from chiasm.cohort.hdf5_chunks import DEFLATE, chunk_bytes, filters, inflates_beyond
from chiasm.errors import Unsupported
from chiasm.limits import WEIGHTS_BYTES, LimitError, is_packed_nothing, require_regular

BAG_SUFFIXES = (".npy", ".h5", ".hdf5", ".safetensors")
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
DATASET, PLACES = "features", "coords"
NUMPY, HDF5, ZIP = b"\x93NUMPY", b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
DEEPEST, MOST_NODES = 16, 10_000
SHUFFLE, FLETCHER, LZF = 2, 3, 32000
FILTERS = {DEFLATE, SHUFFLE, FLETCHER, LZF}  # built into HDF5 or h5py; others may expand without bound
CHUNK_BYTES = 1 << 30
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
CONVERT = (
    'convert it, if you trust it: python -c "import sys, numpy, torch; numpy.save(sys.argv[2], '
    "torch.load(sys.argv[1], weights_only=True, map_location='cpu').float().numpy())\" bag.pt bag.npy"
)


class RefusedBag(ValueError):
    """Error for a bag file that is refused; the message names no path."""

    def __init__(self, what: str, fix: str = "write the bag again") -> None:
        super().__init__(what)
        self.fix = fix


def read_bag(path: Path) -> NDArray[np.float32]:
    """Read one file as a float32 array; refuse pickled objects, links to other files and compression bombs."""
    kind = _kind(path)
    if kind == "npy":
        return _of_numpy(path)
    if kind == "safetensors":
        return _of_tensor(path)
    with _h5_file(path) as file:
        dataset = _only_dataset(file)
        if inflates_beyond(dataset, harmless=0):
            raise RefusedBag("a chunk of the dataset unpacks to more than its shape announces")
        if is_packed_nothing(dataset.size, int(dataset.dtype.itemsize), path.stat().st_size):
            raise RefusedBag("the dataset unpacks to far more than the file can hold, as no features do")
        if dataset.ndim != 2 or not room.is_large(dataset.size):
            return np.asarray(dataset[()], dtype=np.float32)
        values: NDArray[np.float32] = room.room(dataset.shape)
        together = 1 if dataset.chunks is None else dataset.chunks[0]  # tokens, which are unpacked together
        for part in room.stretches(len(values), values.shape[1], together, values):
            values[part] = dataset[part]
        return values


def _of_numpy(path: Path) -> NDArray[np.float32]:
    array = _numpy(path)
    if array.ndim != 2 or not room.is_large(array.size):
        return np.array(array, dtype=np.float32)
    by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
    with path.open("rb") as file:
        shape = array.shape[::-1] if by_columns else array.shape
        stored = room.mapped(file, shape, array.dtype, array.offset)  # type: ignore[attr-defined]
    values: NDArray[np.float32] = room.room(array.shape)
    for part in room.stretches(len(values), values.shape[1], 1, values, stored):
        values[part] = (stored.T if by_columns else stored)[part]
    return values


def _of_tensor(path: Path) -> NDArray[np.float32]:
    with _tensors(path) as file:
        name = _only_tensor(file)
        shape = file.get_slice(name).get_shape()
        if len(shape) != 2 or not room.is_large(math.prod(shape)):
            whole: NDArray[np.float32] = file.get_tensor(name).float().numpy()
            return whole
    values: NDArray[np.float32] = room.room(shape)
    for part in room.stretches(len(values), values.shape[1], 1, values):
        with _tensors(path) as file:  # anew, since what it has read stays in memory
            values[part] = file.get_slice(name)[part].float().numpy()
    return values


def bag_places(path: Path) -> NDArray[np.float64] | None:
    """Read where the tokens of a bag lie in its image, `(T, 2)` across and down; None where the file does not say.

    An HDF5 file says it by a dataset `coords` beside its `features`, as CLAM and TRIDENT write them.
    """
    if _kind(path) != "h5":
        return None
    with _h5_file(path) as file:
        if not isinstance(file.get(PLACES, getlink=True), _h5py().HardLink):
            return None
        dataset, features = file[PLACES], _only_dataset(file)
        known = isinstance(dataset, _h5py().Dataset) and dataset.dtype.kind in "iuf"
        if not known or dataset.shape != (features.shape[0], 2) or inflates_beyond(dataset, harmless=0):
            return None
        return np.asarray(dataset[()], dtype=np.float64)


def bag_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of one file's array from its header."""
    kind = _kind(path)
    if kind == "npy":
        return _numpy_shape(path)
    if kind == "safetensors":
        with _tensors(path) as file:
            return tuple(file.get_slice(_only_tensor(file)).get_shape())
    with _h5_file(path) as file:
        return tuple(_only_dataset(file).shape)


def _kind(path: Path) -> str:
    try:
        require_regular(path, WEIGHTS_BYTES)
    except LimitError as fault:
        raise RefusedBag(f"the file {fault.what}", fault.fix) from None
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise RefusedBag("the file is empty", "write it again, or take it away if the patient has none")
    if start.startswith(NUMPY):
        return "npy"
    if start.startswith(HDF5):
        return "h5"
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(ZIP) and path.suffix == ".npz":
        raise RefusedBag("the file holds several arrays (.npz)", "write the one that counts as .npy")
    if start.startswith(ZIP) or start[:1] == b"\x80":
        raise RefusedBag("the file is a pickle (.pt, .pth, .pkl), which can run code when it is read", CONVERT)
    raise RefusedBag("the file cannot be read: it is neither .npy, .h5 nor .safetensors, whatever its name")


def _numpy(path: Path) -> NDArray[Any]:
    """Memory-map a .npy file; a header that claims more than the file holds is refused without an allocation."""
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_type(array.dtype.kind)
    return array


def _numpy_shape(path: Path) -> tuple[int, ...]:
    """Read the shape of a .npy file, and refuse what `_numpy` refuses, without mapping it: in a third of the time."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            return tuple(_numpy(path).shape)
        shape, _, dtype = HEADERS[version](file)
        if dtype.hasobject or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("the header announces what no array of numbers is")
        if file.tell() + math.prod(shape) * dtype.itemsize > path.stat().st_size:
            raise ValueError("the header announces more than the file holds")
    _check_type(dtype.kind)
    return tuple(shape)


def _check_type(kind: str) -> None:
    if kind not in "biuf":
        raise RefusedBag("the bag holds something other than real numbers", "write it as float32")


def _tensors(path: Path) -> Any:
    from safetensors import safe_open

    from chiasm.artifact.tensors import require_header

    try:
        require_header(path)
    except LimitError as fault:
        raise RefusedBag(f"the file {fault.what}", "write the bag again") from None
    return safe_open(path, framework="pt")  # reads bfloat16, which NumPy does not have


def _only_tensor(file: Any) -> str:
    names = list(file.keys())
    if DATASET not in names and len(names) != 1:
        raise RefusedBag(f"the file holds {len(names)} arrays and none of them is '{DATASET}'")
    return DATASET if DATASET in names else names[0]


def _h5py() -> Any:
    try:
        import h5py  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported('bags in .h5 files need h5py: pip install "chiasm[bags]"') from None
    return h5py


def _h5_file(path: Path) -> Any:
    h5py = _h5py()
    _check_heaps(path)
    return h5py.File(path, "r")


def _check_heaps(path: Path) -> None:
    """Refuse a group whose free list is circular: HDF5 would follow it forever, and keep each step in memory.

    A local heap is `HEAP`, version, then size, head of the free list and address of the data; a free block starts with
    the offset of the next.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        widths = view[13:15] if view[8] < 2 else view[9:11]
        if widths != b"\x08\x08":
            raise RefusedBag("the file is an HDF5 of addresses other than 64 bits")
        heap = view.find(b"HEAP")
        while 0 <= heap <= len(view) - 32:
            free, data = struct.unpack_from("<QQ", view, heap + 16)
            seen: set[int] = set()
            while free != 1 and data + free + 16 <= len(view):  # 1 ends the list
                if free in seen or len(seen) > MOST_NODES:
                    raise RefusedBag("the file is damaged: the names of a group go in a circle")
                seen.add(free)
                (free,) = struct.unpack_from("<Q", view, data + free)
            heap = view.find(b"HEAP", heap + 4)


def _only_dataset(file: Any) -> Any:
    """Return the dataset `features`, or else the only dataset in the file."""
    h5py = _h5py()
    found: list[Any] = []
    nodes = 0

    def walk(group: Any, depth: int) -> None:
        nonlocal nodes
        for name in group:
            nodes += 1
            if depth > DEEPEST or nodes > MOST_NODES:
                raise RefusedBag("the file nests groups without end, or holds too many of them")
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise RefusedBag("the file links to another file, which is not followed")
            if isinstance(link, h5py.SoftLink):
                continue
            node = group[name]
            if isinstance(node, h5py.Group):
                walk(node, depth + 1)
            elif isinstance(node, h5py.Dataset):
                found.append(node)

    walk(file, 0)
    named = [node for node in found if node.name == f"/{DATASET}"]
    if not named and len(found) != 1:
        raise RefusedBag(f"the file holds {len(found)} datasets and none of them is '{DATASET}'")
    dataset = (named or found)[0]
    if dataset.is_virtual or dataset.external:
        raise RefusedBag("the file keeps its data in another file, which is not followed")
    if dataset.shape is None:
        raise RefusedBag("the dataset is empty")
    _check_type(dataset.dtype.kind)
    if not set(filters(dataset)) <= FILTERS or filters(dataset).count(DEFLATE) > 1:
        raise RefusedBag("the dataset is compressed in a way that is not read", "write it with gzip, or without any")
    if dataset.chunks is not None and chunk_bytes(dataset) > CHUNK_BYTES:
        raise RefusedBag("a chunk of the dataset is larger than a gigabyte", "write it in smaller chunks")
    return dataset
