"""What the screen shows of errors and names: our own words, nothing that steers a terminal, a full disk by name."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm import artifact, screen
from chiasm.artifact.whole import SETTLED_SECONDS, staging_of, whole_file
from chiasm.errors import Unsupported
from chiasm.fitting.possible import require_possible
from chiasm.linear.linear import Linear
from chiasm.screen import describe_failure, visible


def failing(call: object, *arguments: object) -> BaseException:
    try:
        call(*arguments)  # type: ignore[operator]
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_words_of_numpy_are_not_ours() -> None:
    """Their functions are called by a line of chiasm, and quote what they were given."""
    linear = Linear("regression", np.zeros((2, 1)), np.zeros(1))
    error = failing(linear.linear_predictor, np.array([["patient-007", "x"]], object))
    assert isinstance(error, ValueError) and "patient-007" in str(error)
    (said,) = describe_failure(error, [])
    assert "patient-007" not in said and "an error it does not know, ValueError in chiasm.linear.linear" in said
    (said,) = describe_failure(failing(linear.linear_predictor, np.zeros((3, 5))), [])
    assert "matmul" not in said


def test_our_own_words_are_shown() -> None:
    error = failing(require_possible, pd.DataFrame({"p_a": [2.0]}), np.array([5]))
    assert describe_failure(error, []) == [str(error)]
    error = failing(lambda: Linear("counts", np.zeros((2, 1)), np.zeros(1)))
    assert type(error) is ValueError and describe_failure(error, []) == [str(error)]
    assert describe_failure(Unsupported("leave it out"), []) == ["leave it out"]


def test_want_of_memory_and_a_full_disk_are_sentences(tmp_path: Path) -> None:
    assert "not enough memory" in describe_failure(MemoryError(), [])[0]
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        error = OSError(number, os.strerror(number), str(tmp_path / "out.csv"))
        (said,) = describe_failure(error, [str(tmp_path / "out.csv")])
        assert "out.csv': the disk is full; free space" in said


@pytest.mark.parametrize("text", ["\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x9b2J", "a\u202eb", "a\u2028b", "\x00"])
def test_control_characters_are_written_out(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen.show(text)
    screen.hint(text)
    screen.show_table(["name"], [[text]])
    found = capsys.readouterr()
    said = found.out + found.err
    assert all(sign.isprintable() or sign == "\n" for sign in said), said
    assert visible("Müller, 3 µm\tx\n") == "Müller, 3 µm\tx\n"


def test_files_that_hold_identifiers_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        artifact.write_text(tmp_path / "a.json", "{}")
        artifact.save_checkpoint(tmp_path / "b.safetensors", {"x": np.zeros(3)})
        _write_frame(tmp_path / "c.csv")
        _write_frame(tmp_path / "d.parquet")
    finally:
        os.umask(before)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.safetensors", "c.csv", "d.parquet"]
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_an_error_leaves_the_old_file_and_no_new_one(tmp_path: Path) -> None:
    artifact.write_text(tmp_path / "a.json", "old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.json") as staging:
        staging.write_text("ne")
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that has ended")
def test_what_dead_processes_left_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    dead = []
    for _ in range(2):
        number = os.fork()
        if not number:
            os._exit(0)
        os.waitpid(number, 0)
        dead.append(number)
    path = tmp_path / "a.json"
    left, other = tmp_path / f".a.json.{dead[0]}.tmp", tmp_path / f".b.json.{dead[0]}.tmp"
    young, alive = tmp_path / f".a.json.{dead[1]}.tmp", tmp_path / f".a.json.{os.getppid()}.tmp"
    for file in (left, other, young, alive):
        file.write_text("half")
        if file != young:  # another machine's process may have the number
            os.utime(file, (time.time() - 2 * SETTLED_SECONDS,) * 2)
    artifact.write_text(path, "{}")
    assert not left.exists() and all(file.exists() for file in (other, young, alive))
    assert staging_of(path).name == f".a.json.{os.getpid()}.tmp" and not staging_of(path).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="files of a limited size are of POSIX")
def test_a_full_disk_leaves_the_old_files_and_is_told(tmp_path: Path) -> None:
    """The limit on a file's size stands for the end of the disk."""
    artifact.write_text(tmp_path / "a.json", "old")
    artifact.save_checkpoint(tmp_path / "b.safetensors", {"x": np.zeros(3)})
    pid = os.fork()
    if not pid:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
            said = []
            for call in (
                lambda: artifact.write_text(tmp_path / "a.json", "x" * 100_000),
                lambda: artifact.save_checkpoint(tmp_path / "b.safetensors", {"x": np.zeros(100_000)}),
                lambda: _write_frame(tmp_path / "c.csv"),
                lambda: _write_frame(tmp_path / "d.parquet"),
            ):
                error = failing(call)
                said.append("the disk is full" in describe_failure(error, [])[0])
            os._exit(0 if all(said) else 10 + said.index(False))
        finally:  # whatever went wrong, this is no second run of the tests
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.safetensors"]
    assert (tmp_path / "a.json").read_text() == "old"
    assert artifact.load_checkpoint(tmp_path / "b.safetensors")["x"].shape == (3,)


def _write_frame(path: Path) -> None:
    with whole_file(path) as staging:
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(3000, 5)), columns=list("abcde"))
        frame.to_parquet(staging) if path.suffix == ".parquet" else frame.to_csv(staging)
