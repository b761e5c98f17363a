"""`--forks`: each test is run once, whatever becomes of the process that runs it, and told as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from forks import Stretches
from young_process import forks_asked

TESTS = """
import os, pathlib, signal
import pytest

@pytest.fixture(scope="module")
def made():
    yield os.getpid()
    pathlib.Path("closed", str(os.getpid())).touch()

@pytest.mark.parametrize("k", range(12))
def test_passes(made, k, tmp_path, capfd):
    pathlib.Path("ran", f"{k}-{os.getpid()}").touch()
    os.system("echo heard")
    assert made == os.getpid() and capfd.readouterr().out == "heard\\n"

def test_fails():
    print("Quartermain")
    assert not "a reason"

def test_dies(made):
    os.kill(os.getpid(), signal.SIGKILL)

def test_is_skipped():
    pytest.skip("no reason")
"""


def test_each_is_run_once_and_a_dead_process_fails_the_test_it_was_at(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    pytester.makepyfile(TESTS)
    ran, closed = pytester.mkdir("ran"), pytester.mkdir("closed")
    # In a process of its own: what other tests have imported here may not bear to be forked once more.
    result = pytester.runpytest_subprocess("-p", "forks", "-p", "cpu_costs", "-p", "not_run", "--forks", "2")
    result.assert_outcomes(passed=12, failed=2, skipped=1)
    runs = sorted(path.name.split("-") for path in ran.iterdir())
    assert sorted(int(test) for test, _ in runs) == list(range(12))
    processes = {process for _, process in runs}
    assert len(processes) in (2, 3) and processes & {path.name for path in closed.iterdir()}
    result.stdout.fnmatch_lines_random(
        ["*not 'a reason'", "Quartermain*", "*ended at this one, with -9", "1 x no reason"]
    )


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_whoever_has_none_left_takes_half_of_the_longest(processes: int) -> None:
    stretches = Stretches(10, processes)
    found = [stretches.next(processes - 1) for _ in range(10)]
    assert sorted(filter(lambda test: test is not None, found)) == list(range(10))
    assert found[0] == 10 * (processes - 1) // processes and stretches.next(0) is None
    stretches.file.close()


def test_a_process_for_what_must_be_young_is_begun_for_each(tmp_path: Path) -> None:
    assert [forks_asked(words) for words in (["tests"], ["--forks", "2"], ["-x", "--forks=3"])] == [0, 2, 3]
