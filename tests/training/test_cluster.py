"""Ray: the same tokens and the same figures as in one process, on two nodes, and after a worker or a node is lost."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Regression, cohort_from_frames, synthetic_cohort
from chiasm.compute.cluster import on_cluster
from chiasm.recipes.baselines.early import EarlyFusion
from chiasm.recipes.baselines.single import Single

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import a test module


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and a second node, one core each, as Ray's own utility makes them."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # beside other tests, nice workers would hardly run
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = made.address
    yield made
    os.environ.pop("RAY_ADDRESS")
    if before is not None:
        os.environ["RAY_ADDRESS"] = before
    ray.shutdown()
    made.shutdown()


@pytest.fixture(scope="module")
def connected(cluster: Any) -> None:
    """One connection for many tests: workers that have imported everything go on from one to the next."""
    ray.init(address="auto", logging_level="ERROR", log_to_driver=False)


@dataclass(frozen=True)
class Once:
    """Kills the process it runs in at the third task, the first time round; the marker remembers that it did."""

    marker: str


def squared(context: Once, task: int) -> tuple[int, str]:
    marker = Path(context.marker)
    if task == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task**2, ray.get_runtime_context().get_node_id()


def test_tasks_run_on_both_nodes_and_a_killed_worker_is_replaced(cluster: Any, tmp_path: Path) -> None:
    marker = tmp_path / "killed"
    found = list(on_cluster(squared, Once(str(marker)), range(40), 2))
    assert marker.exists()
    assert sorted(number for number, _ in found) == [task**2 for task in range(40)]
    assert len({node for _, node in found}) == 2
    assert not ray.is_initialized()  # a connection made for the tasks ends with them


def filled(context: Any, task: int) -> tuple[int, Any]:
    return task, np.full(50_000, float(task))  # large enough for the memory that machines share


@pytest.mark.nightly
def test_results_are_whole_when_the_connection_is_closed_and_others_come(cluster: Any) -> None:
    first = dict(on_cluster(filled, None, range(6), 2))
    assert not ray.is_initialized()
    second = dict(on_cluster(filled, np.zeros(200_000), range(100, 108), 2))
    for found in (first, second):
        assert all((values == task).all() and values.flags.writeable for task, values in found.items())


def refusing(context: None, task: int) -> int:
    if task == 2:
        raise chiasm.Unsupported("this task has no answer")
    return task


def test_what_a_task_raises_is_raised_here(connected: None) -> None:
    with pytest.raises(chiasm.Unsupported, match="this task has no answer"):
        list(on_cluster(refusing, None, range(4), 2))
    assert list(on_cluster(refusing, None, [], 2)) == []


@dataclass(frozen=True)
class Killing(EarlyFusion):
    """Early fusion whose worker dies in its first fit."""

    marker: str = ""

    @property
    def name(self) -> str:
        return "killing"

    def fit(self, cohort: Any, **rest: Any) -> Any:
        if self.marker and not Path(self.marker).exists():
            Path(self.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(cohort, **rest)


def test_a_trial_on_a_cluster_gives_the_same_figures_though_a_worker_is_killed(connected: None, tmp_path: Path) -> None:
    cohort = synthetic_cohort("complementary", 60, missing=0.2)
    protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
    marker = tmp_path / "killed"
    singles = [Single(name, models="linear") for name in ("m1", "m2")]
    alone = chiasm.evaluate(cohort, [*singles, Killing()], protocol, jobs=1)
    recipes = [*singles, Killing(marker=str(marker))]
    spread = chiasm.evaluate(cohort, recipes, protocol, engine="ray", out=tmp_path / "run")
    assert marker.exists()
    same = ["recipe", "metric", "mean", "low", "high", "trained_parameters"]
    pd.testing.assert_frame_equal(spread.table()[same], alone.table()[same], check_exact=True)
    order = ["recipe", "repeat", "fold", "patient"]
    one, other = (t.predictions.sort_values(order).reset_index(drop=True) for t in (spread, alone))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert spread.verdict == alone.verdict


def test_encoding_on_a_cluster_gives_the_same_bytes_and_names_the_broken(connected: None, tmp_path: Path) -> None:
    bases = np.array(list("ACGT"))
    texts = ["".join(bases[np.random.default_rng(row).integers(0, 4, 60 + row)]) for row in range(70)]
    texts[7] = "not a sequence 7"
    ids = [f"p{row:03d}" for row in range(70)]
    patients = pd.DataFrame({"y": np.arange(70.0)}, index=ids)
    cohort = cohort_from_frames(
        patients, {"gene": pd.DataFrame({"sequence": texts}, index=ids)}, Regression("y"), kinds={"gene": "dna"}
    )
    one = chiasm.encode(cohort, store=tmp_path / "one", jobs=1)
    other = chiasm.encode(cohort, store=tmp_path / "other", engine="ray")
    assert other.counts == one.counts and other.counts["gene"].refused == 1
    assert other.problems == one.problems and one.problems[0].row == 9
    assert other.cohort.fingerprint == one.cohort.fingerprint
    left, right = (found.cohort.raw("gene") for found in (one, other))
    assert len(left) == len(right) == 69
    assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@dataclass(frozen=True)
class OnCard:
    """A context whose tasks ask for a GPU."""

    device: str


def cards(context: OnCard, task: int) -> tuple[list[Any], int]:
    return ray.get_gpu_ids(), task


def test_a_task_on_cuda_is_refused_by_a_cluster_without_a_gpu(connected: None) -> None:
    with pytest.raises(chiasm.Unsupported, match="no machine of the cluster offers a GPU"):
        list(on_cluster(cards, OnCard("cuda"), range(2), 2))
    with pytest.raises(ValueError, match="the device is 'cuda', not 'cuda:1'"):
        list(on_cluster(cards, OnCard("cuda:1"), range(2), 2))
    assert list(on_cluster(cards, OnCard("cpu"), [5], 2)) == [([], 5)]


@pytest.mark.nightly
def test_a_task_on_cuda_has_a_gpu_of_its_own(connected: None, cluster: Any) -> None:
    offers = cluster.add_node(num_cpus=1, num_gpus=1)  # Ray hands out what a node says that it has
    found = list(on_cluster(cards, OnCard("cuda"), range(3), 2))
    cluster.remove_node(offers)
    assert sorted(task for _, task in found) == [0, 1, 2] and all(len(own) == 1 for own, _ in found)


@pytest.mark.nightly
def test_a_fit_on_a_cluster_predicts_as_one_here(connected: None) -> None:
    cohort = synthetic_cohort("complementary", 80, missing=0.2)
    here, there = (chiasm.fit(cohort, "late-fusion", seed=2, engine=engine) for engine in ("local", "ray"))
    pd.testing.assert_frame_equal(there.predict(cohort), here.predict(cohort), check_exact=True)
    with pytest.raises(ValueError, match="engine 'spark' is not known"):
        chiasm.fit(cohort, "late-fusion", engine="spark")


@pytest.mark.nightly
def test_a_lost_node_is_worked_around(cluster: Any, connected: None) -> None:
    extra = cluster.add_node(num_cpus=2)
    found = []
    for number, _ in on_cluster(squared, Once("/nonexistent/never"), [task + 10 for task in range(60)], 4):
        found.append(number)
        if len(found) == 20:
            cluster.remove_node(extra, allow_graceful=False)
    assert sorted(found) == [(task + 10) ** 2 for task in range(60)]


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match="local, ray"):
        chiasm.evaluate(synthetic_cohort("unique", 40), ["late-fusion"], engine="spark")
