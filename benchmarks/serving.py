"""How many patients a second `chiasm serve` answers, how long one waits, and whether its memory stays flat.

    python benchmarks/serving.py [--clients 200] [--seconds 60] [--memory 600]    a quiet machine, a quarter of an hour
    python benchmarks/serving.py --table

A part that has its line in `benchmarks/results/serving.jsonl`, measured in the same way, is not measured again (delete
the file to begin anew); after each, `benchmarks/results/serving.txt` and the part of docs/benchmarks.md are written.

A late fusion of a table (5 columns) and an omics block (30) is served on loopback, and each of the clients, on a
connection of its own, asks for one patient after the other, of all three patterns in turn. Beside it, each by itself
in the same run and asked by the same clients: the service with replicas under Ray Serve (`--replicas 2`), an
application of FastAPI that answers the parsed body (a floor: it predicts nothing), and MLflow's own model server with
the same model. Seconds are those of the client, which shares the machine with the server. An error is any answer but
200, or none. Memory is what the operating system holds of the process, as the median of the first and of the last
tenth of the time, after a tenth for warming up. CPU is that of the server and of all its processes, by an answer; it
is what two servers can be compared by on a machine that is not quiet, whose load a minute before stands beside it.
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
from pages import PAGE, part, results_of
from verdicts.lines import whole_lines

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
NAME = "serving"
OURS, REPLICAS, FLOOR, MLFLOW = "chiasm serve", "chiasm serve, 2 replicas", "FastAPI, echo", "MLflow's model server"
MEMORY = "memory"
PARTS = (OURS, FLOOR, MLFLOW, REPLICAS, MEMORY)
INTRODUCTION = """## What a service answers, and what that costs

`python benchmarks/serving.py`, its results in `benchmarks/results/serving.txt`; this part of the page is written by it.
A late fusion of a table and an omics block, {clients} clients on one connection each, for {seconds:g} s, who share two
processors with the server. The echo predicts nothing. CPU is that of the server and all its processes; load is that of
the minute before.
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


def measured(name: str, port: int, process: int, bodies: list[bytes], path: str, how: dict[str, Any]) -> dict[str, Any]:
    """A line of the results: ask a server that answers."""
    load, before = os.getloadavg()[0], cpu_of(process)
    found = asyncio.run(asked(port, bodies, path, how["clients"], how["seconds"]))
    cpu = cpu_of(process) - before
    own = np.array(found.seconds) * 1000
    p50, p99 = np.quantile(own, [0.5, 0.99]).tolist() if len(own) else (None, None)
    return {
        "part": name, **how, "answers": len(own), "errors": found.errors, "p50": p50, "p99": p99,
        "cpu_ms": 1000 * cpu / max(1, len(own)), "load": load,
    }  # fmt: skip


def cpu_of(process: int) -> float:
    """CPU seconds of a process and of all that it has started."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = file.read_text().rpartition(")")[2].split()
            own = int(file.parent.name)
            parents[own] = int(words[1])
            spent[own] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    mine = {process}
    while more := {own for own, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(spent.get(own, 0.0) for own in mine)


def memory_of(process: int) -> float:
    """MB that the operating system holds of a process."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def flat(port: int, process: int, bodies: list[bytes], how: dict[str, Any]) -> dict[str, Any]:
    """Ask for so long, and tell the memory at the beginning and at the end."""
    load, seconds = os.getloadavg()[0], how["seconds"]

    async def both() -> tuple[Measured, list[float]]:
        sizes = []
        work = asyncio.create_task(asked(port, bodies, "/predict", how["clients"], seconds))
        while not work.done():
            sizes.append(memory_of(process))
            await asyncio.sleep(max(0.2, seconds / 200))
        return await work, sizes

    found, sizes = asyncio.run(both())
    tenth = max(1, len(sizes) // 10)
    first, last = float(np.median(sizes[tenth : 2 * tenth])), float(np.median(sizes[-tenth:]))
    told = {"answers": len(found.seconds), "errors": found.errors, "first_mb": first, "last_mb": last, "load": load}
    return {"part": MEMORY, **how, **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--memory", type=float, default=600.0)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=results_of(NAME))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--table", action="store_true", help="Write what is measured already.")
    options = parser.parse_args()
    hows = {own: {"clients": options.clients, "seconds": options.seconds} for own in PARTS}
    hows[MEMORY] = {"clients": options.clients, "seconds": options.memory}
    lacking = [own for own in PARTS if own in options.only and row_of(options.out, own, hows[own]) is None]
    if lacking and not options.table:
        with tempfile.TemporaryDirectory() as place:
            patients = made(Path(place) / "model")
            for name in lacking:
                row = run(name, Path(place), patients, hows[name])
                options.out.parent.mkdir(parents=True, exist_ok=True)
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    print(written(options.out, options.page, hows))


def run(name: str, folder: Path, patients: list[dict[str, dict[str, float]]], how: dict[str, Any]) -> dict[str, Any]:
    """Start the server of a part, and measure it."""
    bodies = [json.dumps({"patients": [own]}).encode() for own in patients]
    port, path, sent = free_port(), "/predict", bodies
    listen = ["--listen", f"127.0.0.1:{port}", "--concurrency", str(2 * how["clients"])]
    words = [sys.executable, "-m", "chiasm", "serve", str(folder / "model"), *listen]
    if name == REPLICAS:
        words += ["--replicas", "2"]
    elif name == FLOOR:
        (folder / "echo.py").write_text(ECHO)
        words = [sys.executable, str(folder / "echo.py"), str(port)]
    elif name == MLFLOW:
        rows: list[Any] = [{key: own for block in one.values() for key, own in block.items()} for one in patients]
        path, sent = "/invocations", [json.dumps({"dataframe_records": [row]}).encode() for row in rows]
        words = mlflow_server(folder, port)
    with running(words, port, folder / "server.log") as process:
        warmed(port, sent, path)
        return flat(port, process, sent, how) if name == MEMORY else measured(name, port, process, sent, path, how)


def row_of(results: Path, name: str, how: dict[str, Any]) -> dict[str, Any] | None:
    """The last line of a part that was measured so; None: it is to be measured."""
    found = [row for row in whole_lines(results) if row["part"] == name and how.items() <= row.items()]
    return found[-1] if found else None


def written(results: Path, page: Path, hows: dict[str, dict[str, Any]]) -> str:
    """Write the results as a text beside their lines, and the part of the page; returns the text."""
    rows = {name: row for name, how in hows.items() if (row := row_of(results, name, how)) is not None}
    how = hows[OURS]
    text = [f"{how['clients']} clients for {how['seconds']:g} s each, {os.cpu_count()} processors", ""]
    text.append(
        f"{'server':27s} {'answers/s':>9s} {'p50 ms':>9s} {'p99 ms':>9s} {'errors':>8s} {'CPU ms':>7s} {'load':>5s}"
    )
    table = [
        INTRODUCTION.format(**how),
        "| server | answers a second | p50, ms | p99, ms | errors | CPU, ms an answer | load |",
    ]
    table.append("|---" * 7 + "|")
    for name, row in rows.items():
        if name == MEMORY:
            continue
        rate, p50, p99 = row["answers"] / row["seconds"], row["p50"], row["p99"]
        cells = [f"{rate:,.0f}", *("-" if own is None else f"{own:,.1f}" for own in (p50, p99))]
        cells += [f"{row['errors']:,}", f"{row['cpu_ms']:.2f}", f"{row['load']:.1f}"]
        text.append(f"{name:27s} " + " ".join(f"{own:>{k}s}" for own, k in zip(cells, (9, 9, 9, 8, 7, 5), strict=True)))
        table.append(f"| {name} | {' | '.join(cells)} |")
    if row := rows.get(MEMORY):
        told = (
            f"{row['seconds']:,.0f} s, {row['clients']} clients: {row['answers']:,} answers, {row['errors']:,} errors; "
            f"{row['first_mb']:,.1f} MB at the beginning, {row['last_mb']:,.1f} MB at the end"
        )
        text += ["", told]
        table += ["", f"Memory of `chiasm serve`: {told}."]
    lacking = [name for name in PARTS if name not in rows]
    if lacking:
        text += ["", f"Not run: {', '.join(lacking)}."]
        table += ["", f"Not run: {', '.join(lacking)}."]
    results.with_suffix(".txt").write_text("\n".join(text) + "\n")
    part(page, NAME, "\n".join(table) + "\n")
    return "\n".join(text)


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
