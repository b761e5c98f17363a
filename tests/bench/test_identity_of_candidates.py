"""A candidate's identity is what it does: another body, value or file is another one; replies are taken as they are."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.bench.candidates import open_candidate
from chiasm.bench.candidates.callables import as_candidate, reply_of
from chiasm.bench.candidates.commands import open_command
from chiasm.bench.item import Item, asked
from chiasm.bench.marks import marked
from made_suites import medqa_folder

FIRST = 0


def by_default(item: Any, place: int = 0) -> int:
    return place


def by_keyword(item: Any, *, place: int = 0) -> int:
    return place


def by_global(item: Any) -> int:
    return FIRST


def through_another(item: Any) -> int:
    return by_global(item)


def closed_over(place: int) -> Callable[[Any], int]:
    return lambda item: place


class Says:
    """Always the same; called itself, or by its method."""

    def __init__(self, place: int) -> None:
        self.place = place

    def __call__(self, item: Any) -> int:
        return self.place

    def say(self, item: Any) -> int:
        return self.place


def identity(function: Any) -> str:
    return as_candidate(function).identity


def test_another_body_or_value_is_another_candidate() -> None:
    made: list[Callable[[int], Any]] = [
        closed_over,
        Says,
        lambda k: Says(k).say,
        lambda k: functools.partial(by_default, place=k),
        lambda k: functools.partial(by_default, "x", k),
        lambda k: functools.lru_cache(closed_over(k)),
        lambda k: functools.wraps(by_default)(closed_over(k)),
    ]
    for make in made:
        assert identity(make(0)) == identity(make(0)) != identity(make(1))
    assert identity(lambda item: "A") != identity(lambda item: "B")
    assert identity(lambda item: [own + "A" for own in item]) != identity(lambda item: [own + "B" for own in item])
    assert identity(lambda item: item["id"]) != identity(lambda item: item["question"])
    assert identity({"a": 1}.get) != identity({"a": 2}.get)
    assert [own.name for own in (as_candidate(Says(1)), as_candidate(functools.partial(by_default)))] == [
        f"{__name__}:Says",
        "functools:partial",
    ]


def test_what_a_function_takes_from_elsewhere_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = (by_default, by_keyword, by_global, through_another)
    before = [identity(own) for own in functions]
    assert before == [identity(own) for own in functions]
    monkeypatch.setitem(globals(), "FIRST", 1)
    by_default.__defaults__, by_keyword.__kwdefaults__ = (1,), {"place": 1}
    try:
        assert not set(before) & {identity(own) for own in functions}
    finally:
        by_default.__defaults__, by_keyword.__kwdefaults__ = (0,), {"place": 0}


def test_what_cannot_be_told_apart_is_never_taken_for_the_same(tmp_path: Path) -> None:
    lock = threading.Lock()
    assert identity(lambda item: lock) != identity(lambda item: lock)
    folder = medqa_folder(tmp_path / "exam", 20)
    run = functools.partial(chiasm.bench, "medqa", data=folder, out=tmp_path / "out", controls=["none"], draws=100)
    run(model=lambda item: "A")
    with pytest.raises(ValueError, match="another candidate"):
        run(model=lambda item: "B")


def test_a_callable_by_its_name_keeps_its_identity_and_loses_it_with_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "its_answers.py").write_text(
        "import threading\nimport its_helper\nLOCK = threading.Lock()\n"
        "def f(item): return LOCK and its_helper.f(item)\n"
    )

    def told(place: int) -> str:
        (tmp_path / "its_helper.py").write_text(f"PLACE = {place}\ndef f(item): return PLACE\n")
        for name in ("its_answers", "its_helper"):
            sys.modules.pop(name, None)
        return open_candidate("python:its_answers:f").identity

    assert told(0) == told(0) != told(100)


def test_a_position_is_a_position_whatever_the_options_are_called() -> None:
    item = Item("x", "Which group of blood?", ("O", "A", "B", "AB"), (1,))
    for said, place, way in ((1, 1, "answered"), (2.0, 2, "answered"), (-1, -1, "no such letter")):
        for own in (said, np.asarray(said), np.float32(said)):
            marks = marked([item], [reply_of(asked(item), own)])
            assert (marks.positions[0], marks.ways[0]) == (place, way)
    reply = reply_of(asked(item), 99)
    assert marked([item], [type(reply).from_json(reply.as_json())]).ways == ("no such letter",)
    assert reply_of(asked(Item("x", "How many?", (), ("3",))), 3).text == "3"


def test_what_is_no_answer_is_counted_and_never_ends_a_run() -> None:
    item = asked(Item("x", "Which?", ("a", "b"), (1,)))
    numbers = (1e999, -1e999, 10**400, 1j, np.True_, np.array(True))
    strange = (*numbers, {0: 0.1, 1: 0.7}, {0.1, 0.7}, b"\1\2", [{}], object())
    assert {reply_of(item, own).failure for own in strange} == {"crashed"}

    def broken() -> Any:
        yield 0.1
        raise KeyError("x")

    assert [own.note for own in as_candidate(lambda item: broken()).answer([item])] == ["KeyError"]
    assert len(reply_of(item, iter(int, 1)).scores or ()) < 100


def test_a_command_that_is_ended_takes_its_children_with_it(tmp_path: Path) -> None:
    script = tmp_path / "parent.sh"
    script.write_text(f"sleep 45 & echo $! > {tmp_path / 'child'}\nwait\n")
    shown = asked(Item("x", "Which?", ("a", "b"), (1,)))
    replies = list(open_command(f"/bin/sh {script}", timeout=0.3).answer([shown]))
    assert replies[0].failure == "silent"
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("the child of the command is alive")


def test_a_command_is_the_files_that_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script, package = tmp_path / "own.py", tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    for line in ("sh --script={}", "python3 -m own", "python3 -m mine", "python3 -m mine.own", "sh -c 'python3 {}'"):
        text, seen = line.format(script), []
        for said in ("A", "B"):
            for file in (script, package / "__main__.py", package / "own.py"):
                file.write_text(f"print('{said}')\n")
            seen.append(open_candidate(f"command:{text}").identity)
        assert seen[0] != seen[1], line
    (package / "beside.py").write_text("1")
    assert open_candidate("command:python3 -m mine").identity != seen[1]
