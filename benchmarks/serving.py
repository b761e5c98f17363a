"""How many patients a second `chiasm serve` answers, how long one waits, and whether its memory stays flat.

    python benchmarks/serving.py [--clients 200] [--seconds 60] [--memory 600] > benchmarks/results/serving.txt

A late fusion of a table (5 columns) and an omics block (30) is served on loopback, and each of the clients, on a
connection of its own, asks for one patient after the other, of all three patterns in turn. Beside it, each by itself
in the same run and asked by the same clients: the service with replicas under Ray Serve (`--replicas 2`), an
application of FastAPI that answers the parsed body (a floor: it predicts nothing), and MLflow's own model server with
the same model. Seconds are those of the client, which shares the machine with the server. An error is any answer but
200, or none. Memory is what the operating system holds of the process, as the median of the first and of the last
tenth of the time, after a tenth for warming up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm

ECHO = """\
import sys
import uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.post("/predict")
async def predict(body: dict) -> dict:
    return body
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", access_log=False)
"""
WRAPPED = """\
import mlflow
import pandas as pd
import chiasm
class Served(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = chiasm.load_model({folder!r})
    def predict(self, context, model_input, params=None):
        blocks = {{}}
        for name, columns in self.model.columns.items():
            frame = model_input.reindex(columns=columns).astype(float)
            there = frame.notna().any(axis=1)
            if there.any():
                blocks[name] = frame[there].set_axis([str(own) for own in frame.index[there]])
        return self.model.predict(blocks).reset_index(drop=True)
mlflow.models.set_model(Served())
"""
OFFLINE = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "MLFLOW_DISABLE_TELEMETRY": "true"}


def made(folder: Path) -> list[dict[str, dict[str, float]]]:
    """Fit and store the model; returns patients of each pattern."""
    rng = np.random.default_rng(0)
    ids = [f"case-{number:03d}" for number in range(240)]
    clinical = pd.DataFrame(rng.normal(size=(240, 5)), index=ids, columns=[f"c{k}" for k in range(5)])
    rna = pd.DataFrame(rng.normal(size=(240, 30)), index=ids, columns=[f"G{k}" for k in range(30)])
    ill = clinical["c0"] + rna["G0"] + rng.normal(size=240) > 0
    patients = pd.DataFrame({"ill": np.where(ill, "yes", "no")}, index=ids)
    blocks = {"clinical": clinical.iloc[:180], "rna": rna.iloc[60:]}
    cohort = chiasm.cohort_from_frames(patients, blocks, target=chiasm.Classification("ill"), kinds={"rna": "omics"})
    chiasm.fit(cohort, "late-fusion", seed=0).save(folder)
    asked = []
    for k in range(60):
        here = (("clinical",), ("rna",), ("clinical", "rna"))[k % 3]
        asked.append({name: {"clinical": clinical, "rna": rna}[name].iloc[k].to_dict() for name in here})
    return asked


@dataclass
class Measured:
    """Seconds of each answer, and errors."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0


async def client(port: int, bodies: list[bytes], path: str, first: int, until: float, found: Measured) -> None:
    """Ask one request after the other on one connection, opened again where it was closed."""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    number = first
    while time.monotonic() < until:
        body = bodies[number % len(bodies)]
        number += 1
        start = time.monotonic()
        try:
            if writer is None or reader is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            size = int(told.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(size)
            if told.split(b" ", 2)[1] != b"200":
                found.errors += 1
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            found.errors += 1
            if writer is not None:
                writer.close()
            reader = writer = None
            continue
        found.seconds.append(time.monotonic() - start)
    if writer is not None:
        writer.close()


async def asked(port: int, bodies: list[bytes], path: str, clients: int, seconds: float) -> Measured:
    found = Measured()
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(port, bodies, path, k, until, found) for k in range(clients)))
    return found


def warmed(port: int, bodies: list[bytes], path: str) -> None:
    """Ask until there are answers: a server may listen before it can give one."""
    end = time.monotonic() + 600
    while not asyncio.run(asked(port, bodies, path, 4, 2.0)).seconds:
        if time.monotonic() > end:
            raise RuntimeError("there is no answer")


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@contextmanager
def running(words: list[str], port: int, log: Path) -> Iterator[int]:
    """Run a server until the block ends; yields the process that listens."""
    environment = {**os.environ, **OFFLINE}
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + 600
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it does not listen:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def told(name: str, found: Measured, seconds: float) -> None:
    own = np.array(found.seconds) * 1000
    if not len(own):
        print(f"{name:27s} no answer, {found.errors:,} errors")
        return
    p50, p99 = np.quantile(own, [0.5, 0.99])
    rate = len(own) / seconds
    print(f"{name:27s} {rate:9,.0f} {p50:9.1f} {p99:9.1f} {found.errors:8,}", flush=True)


def memory_of(process: int) -> float:
    """MB that the operating system holds of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def flat(port: int, process: int, bodies: list[bytes], clients: int, seconds: float) -> None:
    """Ask for so long, and tell the memory at the beginning and at the end."""

    async def both() -> tuple[Measured, list[float]]:
        sizes = []
        work = asyncio.create_task(asked(port, bodies, "/predict", clients, seconds))
        while not work.done():
            sizes.append(memory_of(process))
            await asyncio.sleep(max(0.2, seconds / 200))
        return await work, sizes

    found, sizes = asyncio.run(both())
    tenth = max(1, len(sizes) // 10)
    first, last = np.median(sizes[tenth : 2 * tenth]), np.median(sizes[-tenth:])
    print(
        f"\n{seconds:,.0f} s, {clients} clients: {len(found.seconds):,} answers, {found.errors:,} errors; "
        f"{first:,.1f} MB at the beginning, {last:,.1f} MB at the end"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--memory", type=float, default=600.0)
    parser.add_argument("--replicas", type=int, default=2, help="Under Ray Serve; 0: that row is left out.")
    parser.add_argument("--without-mlflow", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        patients = made(folder / "model")
        bodies = [json.dumps({"patients": [own]}).encode() for own in patients]
        flat_rows: list[Any] = [{key: own for block in one.values() for key, own in block.items()} for one in patients]
        records = [json.dumps({"dataframe_records": [row]}).encode() for row in flat_rows]
        print(f"{options.clients} clients for {options.seconds:g} s each, {os.cpu_count()} processors\n")
        print(f"{'server':27s} {'answers/s':>9s} {'p50 ms':>9s} {'p99 ms':>9s} {'errors':>8s}")
        servers: list[tuple[str, list[str], str, list[bytes]]] = []
        echo = folder / "echo.py"
        echo.write_text(ECHO)
        port = free_port()
        listen = ["--listen", f"127.0.0.1:{port}", "--concurrency", str(2 * options.clients)]
        ours = [sys.executable, "-m", "chiasm", "serve", str(folder / "model"), *listen]
        servers.append(("chiasm serve", ours, "/predict", bodies))
        if options.replicas:
            name = f"chiasm serve, {options.replicas} replicas"
            servers.append((name, [*ours, "--replicas", str(options.replicas)], "/predict", bodies))
        servers.append(("FastAPI, echo", [sys.executable, str(echo), str(port)], "/predict", bodies))
        if not options.without_mlflow:
            servers.append(("MLflow's model server", mlflow_server(folder, port), "/invocations", records))
        for number, (name, words, path, sent) in enumerate(servers):
            with running(words, port, folder / f"{number}.log"):
                warmed(port, sent, path)
                told(name, asyncio.run(asked(port, sent, path, options.clients, options.seconds)), options.seconds)
        with running(ours, port, folder / "memory.log") as process:
            flat(port, process, bodies, options.clients, options.memory)


def mlflow_server(folder: Path, port: int) -> list[str]:
    """Store the model as MLflow's, and return the command that serves it in one process."""
    code = folder / "served.py"
    code.write_text(WRAPPED.format(folder=str(folder / "model")))
    save = (
        "import mlflow; mlflow.pyfunc.save_model("
        f"{str(folder / 'mlflow')!r}, python_model={str(code)!r}, pip_requirements=[])"
    )
    subprocess.run([sys.executable, "-c", save], check=True, env={**os.environ, **OFFLINE}, capture_output=True)
    words = ["models", "serve", "-m", str(folder / "mlflow"), "-p", str(port), "--env-manager", "local"]
    return [sys.executable, "-m", "mlflow", *words, "--workers", "1"]


if __name__ == "__main__":
    main()
