"""`chiasm` for a script of bash, without the imports of each start: a command is forked from a process that has them.

A command has a process of its own, with the folder, the environment, the input and the outputs of whoever asks, and
nothing in memory that another left there. Several may run beside each other; one whose asker is told to end by
SIGTERM is told so too.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

ASK = """\
#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as there:
    there.connect({door!r})
    asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(there, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    there.sendall(asked)
    signal.signal(signal.SIGTERM, lambda *_: there.shutdown(socket.SHUT_WR))
    sys.exit(int(there.recv(8)))
"""


def serve_commands(folder: Path) -> Callable[[], None]:
    """Write `folder/chiasm` and fork a process that answers it; call what comes back to end that one.

    Call it with nothing in memory but what every command may find there.
    """
    door = folder / "door"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(door))
    listener.listen()
    command = folder / "chiasm"
    command.write_text(ASK.format(python=sys.executable, door=str(door)), encoding="utf-8")
    command.chmod(0o755)
    parent = os.getpid()
    server = os.fork()
    if server:
        listener.close()
        return partial(end, server)
    try:
        answer_until(listener, lambda: os.getppid() != parent)
    finally:
        os._exit(0)


def answer_until(listener: socket.socket, over: Callable[[], bool]) -> None:
    """Start each command that is asked for, pass on that it shall end, and tell its asker with which code it ended."""
    with selectors.DefaultSelector() as ready:
        ready.register(listener, selectors.EVENT_READ)
        while not over():
            for key, _ in ready.select(0.2):
                if key.fileobj is listener:
                    asking, _ = listener.accept()
                    child = start(asking)
                    ready.register(asking, selectors.EVENT_READ, (child, None))
                    ready.register(os.pidfd_open(child), selectors.EVENT_READ, (child, asking))
                    continue
                child, asked_by = key.data
                ready.unregister(key.fileobj)
                if asked_by is None:  # its asker shall end, or has ended
                    os.kill(child, signal.SIGTERM)
                    continue
                os.close(key.fd)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                with suppress(KeyError):
                    ready.unregister(asked_by)
                with asked_by, suppress(BrokenPipeError):
                    asked_by.sendall(str(code).encode())


def end(server: int) -> None:
    """End the server, and wait for it: what its commands cost counts as this process's own."""
    os.kill(server, signal.SIGTERM)
    os.waitpid(server, 0)


def start(asking: socket.socket) -> int:
    """The process of the command that is asked for."""
    size, streams, _, _ = socket.recv_fds(asking, 4, 3)
    with asking.makefile("rb") as told:
        words, place, environment = json.loads(told.read(int.from_bytes(size, "big")))
    child = os.fork()
    if child == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(place)
        os.environ.clear()
        os.environ.update(environment)
        run(words)
    for stream in streams:
        os.close(stream)
    return child


def run(words: list[str]) -> None:
    """Run the command and end this process."""
    from chiasm.cli import main

    sys.argv[:] = ["chiasm", *words]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (until the process ends)
    sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
    code: object = 1
    try:
        main()
        code = 0
    except SystemExit as left:
        code = left.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
