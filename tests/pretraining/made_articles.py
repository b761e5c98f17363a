"""Made articles in JATS, their pictures, and archives of both, as PubMed Central packs them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

BY = '<license xlink:href="https://creativecommons.org/licenses/by/4.0/"><license-p>Open.</license-p></license>'


def figure(own: str, caption: str, graphic: str | None = None, permissions: str = "") -> str:
    """A figure with one graphic, named as the figure is unless told."""
    link = f'<graphic xlink:href="{graphic or own}"/>'
    return f'<fig id="{own}"><label>Figure</label><caption><p>{caption}</p></caption>{permissions}{link}</fig>'


def article(body: str, number: str = "1", licence: str = BY, floats: str = "", doctype: str = "") -> bytes:
    """An article with this body."""
    return (
        f'{doctype}<article xmlns:xlink="http://www.w3.org/1999/xlink"><front><article-meta>'
        f'<article-id pub-id-type="pmc">{number}</article-id><article-id pub-id-type="doi">10.1/{number}</article-id>'
        f"<title-group><article-title>A <italic>made</italic> article</article-title></title-group>"
        f"<permissions>{licence}</permissions></article-meta></front><body>{body}</body>"
        f"<floats-group>{floats}</floats-group></article>"
    ).encode()


def picture(seed: int, kind: str = "PNG", side: int = 12) -> bytes:
    """A grey picture of noise."""
    held = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (side, side + 1), dtype=np.uint8)
    Image.fromarray(noise).save(held, kind)
    return held.getvalue()


def archive(path: Path, files: Mapping[str, bytes], folder: str = "PMC1") -> Path:
    """A .tar.gz of these files in one folder."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as packed:
        top = tarfile.TarInfo(folder)
        top.type = tarfile.DIRTYPE
        packed.addfile(top)
        for name, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(held.getvalue(), mtime=0))
    return path


def folder_of_articles(folder: Path, many: int, figures: int = 1) -> Path:
    """A folder of so many archives, each of an article with so many figures; captions name an organ each."""
    folder.mkdir(parents=True)
    organs = ("lung", "liver", "heart")
    for number in range(many):
        names = [f"f{k}" for k in range(figures)]
        body = "".join(
            figure(name, f"Scan {number} of the {organs[(number + k) % 3]}.") for k, name in enumerate(names)
        )
        files = {"a.nxml": article(body, f"{number:06d}")}
        files |= {f"{name}.png": picture(number * figures + k) for k, name in enumerate(names)}
        archive(folder / f"PMC{number:06d}.tar.gz", files, f"PMC{number:06d}")
    return folder


def bulk_of_articles(folder: Path, many: int, each: int = 1000) -> Path:
    """A folder of archives, each of a thousand articles with a figure, every one in a folder of its own."""
    folder.mkdir(parents=True)
    for start in range(0, many, each):
        with tarfile.open(folder / f"{start:06d}.tar", "w") as packed:
            for number in range(start, min(start + each, many)):
                text = article(figure("f", f"Scan {number}."), f"{number:06d}")
                for name, data in (("a.nxml", text), ("f.png", picture(number, side=8))):
                    member = tarfile.TarInfo(f"PMC{number:06d}/{name}")
                    member.size = len(data)
                    packed.addfile(member, io.BytesIO(data))
    return folder
