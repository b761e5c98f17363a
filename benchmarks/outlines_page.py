"""Whether a volume of 512 x 512 x 300 stays usable at the page of `chiasm serve`: seconds of each act, and memory.

    python benchmarks/outlines_page.py [--depth 300] > benchmarks/results/outlines_page.txt

A U-Net that was fitted for an epoch is served on loopback, and a made volume (a bright body with a brighter organ, in
noise, 16 bits, not packed) is opened, turned through, clicked into, corrected, undone, saved and closed over one
connection, as the page does. Of what is done often the median and the longest are told. The model itself does not draw:
how long that takes is the model's. Memory is what the operating system holds of the process that serves, and the most
that it ever held. Client and server share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

import chiasm
from chiasm.segmentation.phantoms import phantom_cohort
from serving import free_port, running

SIDE = 512
AFFINE = np.diag([-0.8, -0.8, 1.0, 1.0])
TIMES = 60
EDGE = "a-part-of-a-request"


def model_of_volumes(folder: Path) -> Path:
    """A model of one volume, `clear`, fitted on small phantoms."""
    manifest = phantom_cohort(folder / "phantoms", 10, (12, 12, 12))
    cohort = chiasm.encode(chiasm.open_cohort(manifest)).cohort
    chiasm.fit(cohort, "unet:modality=clear,width=4,depth=1,epochs=1,crops=1", seed=0).save(folder / "model")
    return folder / "model"


def made_volume(path: Path, depth: int) -> None:
    """A body of 60 in a ground of -900, and in it an organ of 140, in noise of 15."""
    rng = np.random.default_rng(1)
    x, y = np.ogrid[:SIDE, :SIDE]
    body, organ = np.hypot(x - 256, y - 256) < 200, np.hypot(x - 200, y - 300) < 60
    values = np.empty((SIDE, SIDE, depth), dtype=np.int16)
    for k in range(depth):
        here = np.where(body, 60, -900) + 80 * (organ & (abs(k - depth / 2) < depth / 4))
        values[..., k] = here + rng.normal(0, 15, (SIDE, SIDE))
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)


class Client:
    """One connection to the service."""

    def __init__(self, port: int) -> None:
        self.own = HTTPConnection("127.0.0.1", port, timeout=600)

    def ask(self, method: str, path: str, body: bytes | None = None, media: str = "application/json") -> bytes:
        self.own.request(method, path, body, {} if body is None else {"Content-Type": media})
        found = self.own.getresponse()
        told = found.read()
        if found.status >= 300:
            raise RuntimeError(f"{method} {path}: {found.status} {told[:300]!r}")
        return told

    def json(self, method: str, path: str, document: Any = None) -> Any:
        return json.loads(self.ask(method, path, None if document is None else json.dumps(document).encode()))

    def open(self, path: Path) -> Any:
        document = json.dumps({"images": {"clear": {"upload": "a"}}}).encode()
        head = f'--{EDGE}\r\nContent-Disposition: form-data; name="request"\r\n\r\n'.encode() + document
        part = f'\r\n--{EDGE}\r\nContent-Disposition: form-data; name="a"; filename="scan.nii"\r\n\r\n'.encode()
        body = head + part + path.read_bytes() + f"\r\n--{EDGE}--\r\n".encode()
        return json.loads(self.ask("POST", "/outline/open", body, f"multipart/form-data; boundary={EDGE}"))


def timed(name: str, does: Callable[[int], Any], times: int = 1) -> Any:
    """Do something so many times, and tell how long it took."""
    seconds = []
    for k in range(times):
        start = time.monotonic()
        found = does(k)
        seconds.append(time.monotonic() - start)
    print(f"{name:44s} {1000 * np.median(seconds):9,.0f} {1000 * max(seconds):9,.0f}", flush=True)
    return found


def held(process: int) -> tuple[float, float]:
    """MB that a process holds, and the most that it ever held."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    now, most = (float(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=300)
    depth = parser.parse_args().depth
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        model = model_of_volumes(folder)
        made_volume(folder / "scan.nii", depth)
        words = [sys.executable, "-m", "chiasm", "serve", str(model), "--listen", f"127.0.0.1:{port}"]
        with running(words, port, folder / "log.txt") as process:
            size = (folder / "scan.nii").stat().st_size / 2**20
            where = f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
            print(f"A volume of {SIDE} x {SIDE} x {depth}, {size:,.0f} MB; {where}\n")
            print(f"{'':44s} {'median ms':>9s} {'longest':>9s}")
            before, client = held(process)[0], Client(port)
            told = timed("open", lambda _: client.open(folder / "scan.nii"))
            at = f"/outline/{told['id']}"
            seen = {"slices": depth, "front": SIDE, "side": SIDE}
            for plane, many in seen.items():

                def turn(k: int, plane: str = plane, many: int = many) -> None:
                    number = k * many // TIMES
                    client.ask("GET", f"{at}/image/{plane}/{number}")
                    client.ask("GET", f"{at}/mask/{plane}/{number}")

                timed(f"a slice and its mask, {plane}", turn, TIMES)
            click = {
                "plane": "slices",
                "slice": depth // 2,
                "row": 300,
                "column": 200,
                "inside": True,
                "label": "organ",
            }
            timed("a click", lambda _: client.json("POST", f"{at}/click", {**click, "reach": 50}))
            through = {**click, "reach": 50, "through": True}
            drawn = timed("a click through all slices", lambda _: client.json("POST", f"{at}/click", through))
            stroke = {"shape": [SIDE, SIDE], "runs": [(SIDE - 20), 20, 1] * 200}
            timed("a stroke of the brush", lambda k: client.json("PUT", f"{at}/mask/slices/{k}", stroke), TIMES)
            timed("undo of a stroke", lambda _: client.json("POST", f"{at}/undo"), TIMES)
            timed("undo of a click through all slices", lambda _: client.json("POST", f"{at}/undo"))
            client.json("POST", f"{at}/redo")
            saved = timed("save as NIfTI", lambda _: client.ask("GET", f"{at}/save/nii.gz"))
            now, most = held(process)
            client.ask("DELETE", at)
            print(f"\nThe mask has {drawn['many'][0]:,} voxels, and its file {len(saved) / 1024:,.0f} kB.")
            print(f"Memory of the service: {before:,.0f} MB before, {now:,.0f} MB while open, {most:,.0f} MB at most.")


if __name__ == "__main__":
    main()
