"""`--forks N`: the tests are imported and collected once, and N processes that are forked from there run them.

Each has a stretch of the list and takes test after test from its front; who has none left takes the back half of the
longest stretch of the others. What a test said is sent to the first process, which tells it. A process that ends before
its tests do fails the test it was at, and another is forked for the rest.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import selectors
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import pytest

import young_process

ALONE = ("terminalreporter", "lfplugin", "nfplugin", "stepwiseplugin", "junitxml")  # they tell and keep, in the first


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forks", type=int, default=0, metavar="N", help="collect once, and run in N forked processes")


class Stretches:
    """What each process has still to do: the first and the end of its stretch, which all of them see."""

    FORM = struct.Struct("qq")

    def __init__(self, tests: int, processes: int) -> None:
        self.processes = processes
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the processes)
        ends = [tests * k // processes for k in range(processes + 1)]
        for k in range(processes):
            self._set(k, ends[k], ends[k + 1])

    def next(self, own: int) -> int | None:
        """The next test of this process, which then is its own alone."""
        with self._locked():
            first, end = self._get(own)
            if first == end:
                longest = max(range(self.processes), key=lambda k: self._get(k)[1] - self._get(k)[0])
                start, end = self._get(longest)
                first = end - (end - start + 1) // 2
                self._set(longest, start, first)
            if first == end:
                return None
            self._set(own, first + 1, end)
            return first

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fcntl.lockf(self.file, fcntl.LOCK_EX)  # of a process, and gone with it
        try:
            yield
        finally:
            fcntl.lockf(self.file, fcntl.LOCK_UN)

    def _get(self, k: int) -> tuple[int, int]:
        first, end = self.FORM.unpack(os.pread(self.file.fileno(), self.FORM.size, k * self.FORM.size))
        return first, end

    def _set(self, k: int, first: int, end: int) -> None:
        os.pwrite(self.file.fileno(), self.FORM.pack(first, end), k * self.FORM.size)


class Sender:
    """Hands what pytest is told in a forked process on to the first one, a line of JSON each."""

    def __init__(self, config: pytest.Config, door: int) -> None:
        self.config, self.file = config, os.fdopen(door, "w")

    def send(self, kind: str, told: Any) -> None:
        print(json.dumps([kind, told], default=str), file=self.file, flush=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.send("report", self.config.hook.pytest_report_to_serializable(config=self.config, report=report))

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, when: str, nodeid: str) -> None:
        own = warning_message
        self.send("warning", [str(own.message), own.filename, own.lineno, when, nodeid])


class Process:
    """One forked process: where it is heard, which test it is at, and which it has taken to follow."""

    at: int | None = None
    after: int | None = None

    def __init__(self, session: pytest.Session, stretches: Stretches, number: int, dead: Process | None = None) -> None:
        self.number, self.ended, self.heard = number, False, b""
        self.door, told = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.door)
            _work(session, stretches, number, told, dead)
        os.close(told)

    def lines(self) -> list[bytes] | None:
        """What it has said since it was asked, line by line; None when it is gone."""
        if not (said := os.read(self.door, 1 << 20)):
            return None
        *whole, self.heard = (self.heard + said).split(b"\n")
        return whole


def _work(session: pytest.Session, stretches: Stretches, number: int, door: int, dead: Process | None) -> None:
    """Run tests until there are none, and end this process."""
    code = 1
    try:
        config = session.config
        sender = _alone(config, number, door, dead is not None)
        test = stretches.next(number) if dead is None or dead.after is None else dead.after
        while test is not None and not session.shouldstop:
            after = stretches.next(number)
            sender.send("at", [test, after])
            item, following = session.items[test], None if after is None else session.items[after]
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            sender.send("done", test)
            test = after
        session.exitstatus = pytest.ExitCode.TESTS_FAILED if session.testsfailed else pytest.ExitCode.OK
        config.hook.pytest_sessionfinish(session=session, exitstatus=session.exitstatus)
        sender.send("end", getattr(config, "workeroutput", {}))
        sender.file.close()
        config._ensure_unconfigure()
        atexit._run_exitfuncs()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _alone(config: pytest.Config, number: int, door: int, again: bool) -> Sender:
    """Part this process from the one that it was forked from: outputs, folders, plugins and what it is asked by."""
    plugins = config.pluginmanager
    for name in ALONE:
        if (plugin := plugins.get_plugin(name)) is not None:
            plugins.unregister(plugin)
    captured: Any = plugins.get_plugin("capturemanager")
    if captured.is_globally_capturing():  # into files that all forked processes would share
        captured.read_global_capture()
        captured.stop_global_capturing()
        captured.start_global_capturing()
    config.workeroutput = {}  # type: ignore[attr-defined]
    folders: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    folders._basetemp = folders.getbasetemp() / f"forked{number}{'-again' if again else ''}-{os.getpid()}"
    folders._basetemp.mkdir(mode=0o700)
    young_process.BEGUN[:] = [] if again else young_process.BEGUN[number : number + 1]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    sender = Sender(config, door)
    plugins.register(sender, "sender")
    return sender


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in forked processes, where that is asked for."""
    config = session.config
    if not (number := config.getoption("forks")) or config.option.collectonly or session.testsfailed:
        return None
    config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    stretches = Stretches(len(session.items), number)
    running = {own.door: own for own in (Process(session, stretches, k) for k in range(number))}
    try:
        with selectors.DefaultSelector() as ready:
            for door in running:
                ready.register(door, selectors.EVENT_READ)
            while running:
                for key, _ in ready.select():
                    own = running[key.fd]
                    if (lines := own.lines()) is not None:
                        for line in lines:
                            _hear(session, own, *json.loads(line))
                        continue
                    ready.unregister(own.door)
                    _gone(session, running.pop(own.door))
                    if not own.ended:
                        fresh = Process(session, stretches, own.number, own)
                        running[fresh.door] = fresh
                        ready.register(fresh.door, selectors.EVENT_READ)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
    finally:
        for own in running.values():
            os.kill(own.pid, signal.SIGKILL)
            os.waitpid(own.pid, 0)
        stretches.file.close()
    return True


def _hear(session: pytest.Session, own: Process, kind: str, told: Any) -> None:
    """Tell here what a process said."""
    hook = session.config.hook
    if kind == "at":
        own.at, own.after = told
    elif kind == "done":
        own.at = None
        item = session.items[told]
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    elif kind == "report":
        report = hook.pytest_report_from_serializable(config=session.config, data=told)
        if isinstance(report.longrepr, list):  # where and why a test was skipped: JSON has no tuples
            report.longrepr = tuple(report.longrepr)
        hook.pytest_runtest_logreport(report=report)
    elif kind == "warning":
        message, file, line, when, nodeid = told
        warned = warnings.WarningMessage(UserWarning(message), UserWarning, file, line)
        kwargs = {"warning_message": warned, "when": when, "nodeid": nodeid, "location": None}
        hook.pytest_warning_recorded.call_historic(kwargs=kwargs)
    else:
        own.ended = True
        costs: Any = session.config.pluginmanager.get_plugin("cpu costs")
        costs.gather(*told["cpu"])


def _gone(session: pytest.Session, own: Process) -> None:
    """Wait for a process that says nothing more; where it was at a test, that has failed."""
    code = os.waitstatus_to_exitcode(os.waitpid(own.pid, 0)[1])
    os.close(own.door)
    if own.ended:
        return
    if own.at is None:
        raise RuntimeError(f"a process of tests ended between two tests, with {code}")
    item = session.items[own.at]
    report = pytest.TestReport(
        item.nodeid, item.location, {}, "failed", f"the process of the tests ended at this one, with {code}", "call"
    )
    session.config.hook.pytest_runtest_logreport(report=report)
