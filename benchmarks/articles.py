"""What reading made articles costs, and what streaming their pairs costs beside plain tar reading.

    python benchmarks/articles.py [--out benchmarks/results/articles.jsonl] [size ...]
    python benchmarks/articles.py --table    writes the part of docs/articles.md

Articles are made: an archive each, of an XML of a page and one picture, grey, by a seed; `small` are 4,000 with a PNG
of 12 x 13 noisy pixels, so that what is paid for each sample shows, `pictures` 5,000 with a JPEG of 256 x 257.
`chiasm.articles` writes the shards. Then the same shards are read whole, in this process, four ways in turn, three
times: by `tarfile` of Python, member by member; by webdataset where it is installed, its expander and its grouping; by
the stream as they lie; and by the stream shuffled. Shown is the least of three, in CPU seconds, which other work on the
machine disturbs less than the clock; the bytes come from memory that the system keeps of the files, since they were
just written. `resume` is what it takes from opening the folder to the first sample at the middle of the shuffled epoch.
Of a run that is stopped there and resumed, each sample is counted.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

import chiasm  # noqa: E402
from chiasm.pretraining.articles.shards import Shards, open_shards  # noqa: E402
from chiasm.pretraining.articles.stream import Order, Received, resumed, stream  # noqa: E402
from pages import ROOT, part, rows_of, run  # noqa: E402

SIZES = {"small": (4_000, 12, "PNG"), "pictures": (5_000, 256, "JPEG")}
NAME, TIMES = "articles", 3
PAGE = ROOT / "docs" / "articles.md"
WORDS = "A paragraph of forty words stands here so that the text of an article is not nothing at all. " * 5


def main() -> None:
    run(__doc__, NAME, list(SIZES), measured, lambda results, _: write_part(results, PAGE))


def measured(size: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results."""
    many, side, kind = SIZES[size]
    shutil.rmtree(work, ignore_errors=True)
    make(work / "in", many, side, kind)
    start = time.process_time()
    found = chiasm.articles(work / "in", work / "shards")
    reading = time.process_time() - start
    shards = open_shards(work / "shards")
    row: dict[str, Any] = {
        "cohort": size, "articles": found.articles, "kept": int(found.table["kept"].sum()),
        "kind": f"{side} x {side + 1}, {kind}",
        "shards": len(shards.shards), "megabytes": round(sum(own.bytes for own in shards.shards) / 1e6, 1),
        "reading_cpu": round(reading, 2),
    }  # fmt: skip
    ways: dict[str, Callable[[Shards], int]] = {"tarfile": by_tarfile, "webdataset": by_webdataset}
    ways |= {"as they lie": lambda own: in_order(own, None), "shuffled": lambda own: in_order(own, 0)}
    cpu: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(TIMES):
        for way, read in ways.items():
            start = time.process_time()
            samples = read(shards)
            if samples:
                assert samples == row["kept"], (way, samples)
                cpu[way].append(time.process_time() - start)
    row["cpu"] = {way: round(min(own), 3) for way, own in cpu.items() if own}
    row["resume"], row["once"] = stopped(work / "shards")
    shutil.rmtree(work)
    return row


def make(folder: Path, many: int, side: int, kind: str) -> None:
    """So many archives of an article and its picture."""
    for number in range(many):
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 256, (max(side // 8, 12), max(side // 8, 12) + 1), dtype=np.uint8)
        held = io.BytesIO()
        Image.fromarray(coarse).resize((side + 1, side), Image.Resampling.BICUBIC).save(held, kind)
        text = (
            f'<article xmlns:xlink="x"><front><article-meta><article-id pub-id-type="pmc">{number}</article-id>'
            '<permissions><license xlink:href="https://creativecommons.org/licenses/by/4.0/"/></permissions>'
            f'</article-meta></front><body><p>{WORDS}See <xref ref-type="fig" rid="f">1</xref>.</p><fig id="f">'
            f'<caption><p>Scan {number}. {WORDS[:300]}</p></caption><graphic xlink:href="f"/></fig></body></article>'
        )
        place = folder / f"{number // 1000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(place / f"PMC{number}.tar.gz", "w:gz", compresslevel=1) as packed:
            for name, data in (("a.nxml", text.encode()), (f"f.{kind.lower()}", held.getvalue())):
                member = tarfile.TarInfo(f"PMC{number}/{name}")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))


def by_tarfile(shards: Shards) -> int:
    """Every member of every shard, read by Python's own module; how many samples there were."""
    samples = 0
    for own in shards.shards:
        with tarfile.open(shards.folder / own.file) as packed:
            for member in packed:
                held = packed.extractfile(member)
                assert held is not None and len(held.read()) == member.size
                samples += member.name.endswith(".txt")
    return samples


def by_webdataset(shards: Shards) -> int:
    """The samples as webdataset gives them, 0 where it is not installed."""
    try:
        from webdataset.tariterators import group_by_keys, tar_file_expander
    except ModuleNotFoundError:
        return 0
    samples = 0
    for own in shards.shards:
        with (shards.folder / own.file).open("rb") as file:
            samples += sum(1 for _ in group_by_keys(tar_file_expander([{"url": own.file, "stream": file}])))
    return samples


def in_order(shards: Shards, seed: int | None) -> int:
    """The samples as the stream gives them."""
    return sum(1 for _ in stream(shards, Order(seed)))


def stopped(folder: Path) -> tuple[float, bool]:
    """Stop in the middle of an epoch and go on; seconds to the first sample, and whether each was yielded once."""
    shards = open_shards(folder)
    received, keys = Received(shards, Order(0)), Counter[str]()
    half = sum(own.samples for own in shards.shards) // 2 + 1
    for sample in stream(shards, received.order):
        received.note(sample)
        keys[sample.key] += 1
        if keys.total() == half:
            break
    state = received.state()
    start = time.process_time()
    again = resumed(open_shards(folder), state)
    rest = stream(again.shards, again.order, 0, again.at[0])
    keys[next(rest).key] += 1
    seconds = time.process_time() - start
    keys.update(sample.key for sample in rest)
    return round(seconds, 3), set(keys.values()) == {1} and keys.total() == sum(own.samples for own in shards.shards)


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page, and return it."""
    rows = rows_of(results)
    lines = [
        "`python benchmarks/articles.py`, on one thread; its results in `benchmarks/results/articles.jsonl`. CPU",
        "seconds of reading all shards, least of three; the shards were in the system's memory.",
        "",
        "| articles | pictures | MB | articles to shards | `tarfile` | webdataset | stream | shuffled | resume |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.values():
        cpu = [f"{row['cpu'][way]:.2f}" if way in row["cpu"] else "not run" for way in WAYS]
        each = 1000 * row["reading_cpu"] / row["articles"]
        lines.append(
            f"| {row['articles']:,} | {row['kind']} | {row['megabytes']:,.0f} | {row['reading_cpu']:,.0f} "
            f"({each:.1f} ms each) | {' | '.join(cpu)} | {row['resume']:.2f} |"
        )
    lines.append("")
    for row in rows.values():
        own, plain = row["cpu"]["shuffled"], row["cpu"]["tarfile"]
        said = "each sample was yielded once" if row["once"] else "not every sample was yielded once"
        lines.append(
            f"Of {row['kept']:,} samples the shuffled stream gives {row['kept'] / own:,.0f} a CPU second, "
            f"{plain / own:.1f} times what `tarfile` reads; stopped in the middle and resumed, {said}."
        )
    return part(page, NAME, "\n".join(lines) + "\n")


WAYS = ("tarfile", "webdataset", "as they lie", "shuffled")

if __name__ == "__main__":
    main()
