"""A trial in MLflow's own page: the command that is told shows its figures, in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import chiasm
from browser import chromium, needs_browser
from chiasm.report import write_report
from chiasm.sharing.tracking_place import tracking_place
from fake_trials import FUSED, SINGLES
from fake_trials import run as run_trial

pytestmark = [
    pytest.mark.nightly,
    needs_browser,
    pytest.mark.filterwarnings("ignore"),  # of MLflow's own tables
]


def free_port() -> int:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        return int(own.getsockname()[1])


@pytest.fixture
def tracked(tmp_path: Path) -> tuple[chiasm.Trial, chiasm.Tracked]:
    made = chiasm.synthetic_cohort("complementary", n=60, seed=0, missing=0.2)
    trial = run_trial(made, (*SINGLES, *FUSED), chiasm.Protocol(folds=2, repeats=1, draws=100))
    trial = replace(trial, reporter=write_report)
    return trial, chiasm.track(trial, tmp_path / "a kept trial", cohort=made)


@pytest.fixture
def shown(tracked: tuple[chiasm.Trial, chiasm.Tracked], tmp_path: Path) -> Iterator[str]:
    """Run the command that `chiasm track` tells, as a shell does, on a free port."""
    port, log = free_port(), tmp_path / "ui.log"
    own = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with log.open("w") as file:
        words = f"{tracked[1].look} --host 127.0.0.1 --port {port} --workers 1"
        process = subprocess.Popen(
            words, shell=True, stdout=file, stderr=file, env=own, cwd=tmp_path, start_new_session=True
        )
    end = time.monotonic() + 300
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_the_page_of_mlflow_shows_a_trial(
    tracked: tuple[chiasm.Trial, chiasm.Tracked], shown: str, tmp_path: Path
) -> None:
    trial, done = tracked
    assert trial.verdict is not None and trial.verdict.difference is not None
    place = tracking_place(tmp_path / "a kept trial")
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(120_000)
        page.goto(f"{shown}/#/experiments/{place.experiment}/runs/{done.run}")
        page.get_by_text("gain", exact=True).first.wait_for()
        told = page.locator("body").inner_text()
        assert trial.verdict.sentence[:60] in told and "complementary" in told
        page.goto(f"{shown}/#/experiments/{place.experiment}/runs/{done.run}/model-metrics")
        page.get_by_text("gain", exact=True).first.wait_for()
        page.goto(f"{shown}/#/experiments/{place.experiment}/runs")
        page.get_by_text("complementary", exact=False).first.wait_for()
    figures = [value for name, value in place.client.get_run(done.run).data.metrics.items() if name == "gain"]
    assert figures == [pytest.approx(trial.verdict.difference)]
    assert any(f"{figures[0]:.{digits}f}".rstrip("0") in told for digits in (3, 4, 5, 6)) or str(figures[0]) in told
