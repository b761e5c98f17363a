"""How like real pictures drawn ones are, whose picture they give away, and what training on them is worth.

`diffusion/...` and the other generators: small networks of `chiasm generate`, fitted to four fifths of the patients,
draw pictures. `chest-xray`, 28 pixels a side: given the outcome that the copula drew; utility is that of the report, by
the best single model of pictures. `lung-ultrasound`, frames of clips at 32 pixels, clips held out whole, given nothing:
too few for utility. Kernel distances (KID) are to training pictures, in features of an untrained network, of as many
pictures of four kinds: drawn, held out, copied from training ones with a little noise, and noise. A line that is there
is not run again; `--table` writes the part of docs/generation.md.

    python benchmarks/generated_images.py [--data ../shared/data] [--out benchmarks/results/....jsonl] [case ...]
    python benchmarks/generated_images.py --table
"""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

import chiasm  # noqa: E402
from chiasm.api.generating import generate  # noqa: E402
from chiasm.generation.catalogue import PICTURES, make_generator  # noqa: E402
from chiasm.generation.picture_likeness import kernel_distance, picture_likeness, untrained  # noqa: E402
from chiasm.generation.picture_privacy import picture_measures  # noqa: E402
from chiasm.generation.pictures import pictures_of  # noqa: E402
from chiasm.readers.registry import reader_for  # noqa: E402
from chiasm.shown import interval  # noqa: E402
from pages import ROOT, not_run, part, rows_of, run  # noqa: E402

NAME = "generated_images"
PAGE = ROOT / "docs" / "generation.md"
OPTIONS = {
    "diffusion": "width=24,steps=600,draws=25",
    "flow": "width=24,steps=600,draws=25",
    "latent-diffusion": "halvings=1,encoder_steps=400,width=24,steps=600,draws=25",
    "vqvae": "encoder_steps=400,steps=600",
    "gan": "steps=1000",
}
CASES = ("diffusion/chest-xray", "diffusion/lung-ultrasound", *(f"{how}/chest-xray" for how in list(OPTIONS)[1:]))
DRAWN, FRAMES, HZ, EVERY, SIDE = 600, 24, 4.0, 5, 32
BLUR = 0.05
MEASURES = ("copies", "memorised, pixels", "memorised, features", "nearest, pixels", "membership, pixels")


def measured(case: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    process, _, cohort = case.partition("/")
    start = time.process_time()
    spec = f"{process}:{OPTIONS[process]}"
    told = of_cohort(spec, data) if cohort == "chest-xray" else of_frames(spec, data)
    return {"cohort": case, "generator": spec, **told, "seconds": round(time.process_time() - start)}


def of_cohort(spec: str, data: Path) -> dict[str, Any]:
    """Images of a cohort, by the public function and its reports."""
    cohort = chiasm.open_cohort(data / "chest-xray" / "cohort.toml")
    made = generate(
        cohort, patients=DRAWN, pictures=spec, recipe="single:image", accept_privacy="a benchmark, which keeps none"
    )
    own = made.pictures["image"]
    real = pictures_of(cohort, "image").values
    return {
        "pictures": len(real), "drawn": len(own.rows), "size": list(own.scale.size),
        "kid": {**{whose: told["kid"] for whose, told in own.likeness.items()}, **anchors(real, len(own.rows))},
        "ms_ssim": {whose: told["ms_ssim"] for whose, told in own.likeness.items()},
        "measures": [vars(measure) | {"refused": measure.refused} for measure in own.measures],
        "utility": None if made.utility is None else made.utility.as_json(),
    }  # fmt: skip


def of_frames(spec: str, data: Path) -> dict[str, Any]:
    """The first frames of clips, four a second, of which whole clips are held out."""
    folder = data / "wings" / "lung-ultrasound"
    table = pd.read_csv(folder / "metadata.csv")
    reader, frames, clips = reader_for("video"), [], []
    for clip, name in enumerate(own for own in table["file"] if Path(own).suffix in (".mp4", ".mov", ".mpeg")):
        film = reader.read(folder / name)
        shown = [frame.mean(-1) for frame, _ in islice(film.frames(HZ), FRAMES)]
        chosen = torch.tensor(np.stack(shown), dtype=torch.float32)[:, None]  # (T, 1, H, W) grey
        frames.append(functional.interpolate(chosen, size=(SIDE, SIDE), mode="area"))
        clips += [clip] * len(chosen)
    whole = (torch.cat(frames) / 255 * 2 - 1).clamp(-1, 1)
    out = np.isin(np.array(clips) % EVERY, [0])
    train, held = whole[~out], whole[out]
    drawn = make_generator(spec, PICTURES).fit(train, None, 0).sample(len(train), 0)
    told = picture_likeness(train, drawn, held, 0)
    measures = picture_measures("frame", train, held, drawn)
    return {
        "pictures": len(whole), "drawn": len(drawn), "size": [SIDE, SIDE],
        "kid": {**{whose: own["kid"] for whose, own in told.items()}, **anchors(train, len(drawn))},
        "ms_ssim": {whose: own["ms_ssim"] for whose, own in told.items()},
        "measures": [vars(own) | {"refused": own.refused} for own in measures], "utility": None,
    }  # fmt: skip


def anchors(real: torch.Tensor, n: int) -> dict[str, float]:
    """Kernel distances of what is as near and as far as can be: copies with a little noise, and noise alone."""
    generator = torch.Generator().manual_seed(0)
    inside = untrained(real)
    copied = real[torch.randperm(len(real), generator=generator)[:n]]
    copied = (copied + BLUR * torch.randn(copied.shape, generator=generator)).clamp(-1, 1)
    noise = torch.rand(n, *real.shape[1:], generator=generator) * 2 - 1
    return {"copy": kernel_distance(untrained(copied), inside), "noise": kernel_distance(untrained(noise), inside)}


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Tables of all cases that have run."""
    there = [case for case in CASES if case in rows]
    lines: list[str] = []
    if there:
        kinds = {"synthetic": "drawn", "held_out": "held out", "copy": "copies", "noise": "noise"}
        lines += ["| pictures | of real | drawn | options | " + " | ".join(f"KID, {own}" for own in kinds.values())
                  + " | MS-SSIM of two, drawn / held out | CPU seconds |", "|---" * 10 + "|"]  # fmt: skip
        for case in there:
            own = rows[case]
            alike = " / ".join(f"{own['ms_ssim'][whose]:.2f}" for whose in ("synthetic", "held_out"))
            told = (case, f"{own['pictures']:,}", f"{own['drawn']:,}", f"`{own['generator']}`",
                    *(f"{own['kid'][kind]:.4f}" for kind in kinds), alike, f"{own['seconds']:,}")  # fmt: skip
            lines.append(f"| {' | '.join(told)} |")
        lines += ["", f"| pictures | {' | '.join(MEASURES)} | refused |", "|---" * (len(MEASURES) + 2) + "|"]
        for case in there:
            found = {one["id"].partition(": ")[2]: one for one in rows[case]["measures"]}
            told = (interval(found[m]["value"], found[m]["low"], found[m]["high"], digits=3) for m in MEASURES)
            refused = [name for name, one in found.items() if one["refused"]]
            lines.append(f"| {case} | {' | '.join(told)} | {'by ' + '; '.join(refused) if refused else 'no'} |")
        lines.append("")
    if some := [case for case in there if rows[case]["utility"]]:
        lines += ["| pictures | patients | metric | trained on synthetic | on real | share kept |", "|---" * 6 + "|"]
        for case in some:
            own = rows[case]["utility"]
            known = [interval(*own[key], digits=3) if own[key] else "-" for key in ("synthetic", "real")]
            kept = "-" if own["kept"] is None else f"{own['kept']:.2f}"
            lines.append(f"| {case} | {own['patients']:,} | {own['metric']} | {' | '.join(known)} | {kept} |")
        lines.append("")
    return "\n".join([*lines, *not_run(CASES, rows)]).rstrip() + "\n"


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/generation.md, and return them."""
    return part(PAGE, NAME, text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, NAME, CASES, measured, write_part)
