"""A run asks each item once, also after a kill; a candidate sees no answer; controls and verdict say what it knows."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.bench.candidates import open_candidate
from chiasm.bench.candidates.commands import open_command
from chiasm.bench.item import Item, asked
from chiasm.bench.running import ANSWERS, ITEMS, RESULT
from chiasm.bench.suites import suite_named
from chiasm.bench.suites.medical_qa import MEDQA
from made_suites import Oracle, confusing_folder, confusing_pairs, first_letter, medqa_folder, medqa_rows, write_lines


@pytest.fixture(scope="module")
def medqa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return medqa_folder(tmp_path_factory.mktemp("medqa"))


def items_of(folder: Path, name: str = "medqa") -> tuple[Item, ...]:
    return suite_named(name).read(folder).items


def test_whoever_knows_is_told_apart_from_whoever_repeats_himself(medqa: Path) -> None:
    knows = chiasm.bench("medqa", data=medqa, model=Oracle(items_of(medqa)), draws=100)
    assert knows.verdict.outcome == "answers without the question"  # its answers do not depend on it
    repeats = chiasm.bench("medqa", data=medqa, model=lambda item: "A", draws=100)
    assert repeats.verdict.outcome == "knows nothing"
    assert (
        "It answers A to 60 of 60 items" in repeats.verdict.sentence and "bias of position" in repeats.verdict.sentence
    )
    assert repeats.document["positions"]["moved"] == 1.0 and knows.document["positions"]["moved"] == 0.0


def test_a_candidate_that_reads_the_question_is_said_to(medqa: Path) -> None:
    key = {item.question: item.options[item.positions[0]] for item in items_of(medqa)}
    found = chiasm.bench("medqa", data=medqa, model=lambda item: key.get(item["question"], "B"), draws=100)
    assert found.verdict.outcome == "knows something" and found.verdict.uses["question"] == "used"


def test_an_image_that_is_used_and_one_that_is_not(tmp_path: Path) -> None:
    folder = confusing_folder(tmp_path / "pairs", images=True)
    items = items_of(folder, "mediconfusion")
    sees = chiasm.bench("mediconfusion", data=folder, model=Oracle(items, needs_image=True), draws=100)
    assert sees.verdict.uses["image"] == "used"
    blind = chiasm.bench("mediconfusion", data=folder, model=lambda item: item["options"][0], draws=100)
    assert blind.verdict.uses["image"] == "not used" and blind.verdict.outcome == "below chance"
    lacking = confusing_folder(tmp_path / "text")
    told = chiasm.bench("mediconfusion", data=lacking, model=lambda item: "B", draws=100)
    assert told.verdict.uses["image"] == "never shown" and "none of them is here" in " ".join(told.document["problems"])


def test_nothing_that_a_candidate_is_shown_tells_the_answer(tmp_path: Path) -> None:
    folder, seen = confusing_folder(tmp_path / "pairs", 6), list[dict[str, Any]]()
    chiasm.bench("mediconfusion", data=folder, model=lambda item: seen.append(item), controls=["none"], draws=100)
    assert {frozenset(own) for own in seen} == {frozenset({"id", "question", "context", "options", "attachments"})}
    keys = [own["id"] for own in seen]
    assert keys == sorted(keys) and not any("1000" in key for key in keys), "their order is not that of the file"


def test_a_run_that_was_killed_asks_each_item_once(medqa: Path, tmp_path: Path) -> None:
    oracle = Oracle(items_of(medqa))
    whole = chiasm.bench("medqa", data=medqa, model=oracle, out=tmp_path / "run", draws=100)
    asked_before = len(oracle.seen)
    path = tmp_path / "run" / ANSWERS / "candidate.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:21]) + lines[21][:9])  # the header, 20 answers, and one that was cut off
    again = chiasm.bench("medqa", data=medqa, model=oracle, out=tmp_path / "run", draws=100)
    assert len(oracle.seen) - asked_before == 40 and again.document == whole.document


def test_answers_of_another_candidate_or_of_other_items_are_refused(medqa: Path, tmp_path: Path) -> None:
    chiasm.bench("medqa", data=medqa, model=Oracle(items_of(medqa)), out=tmp_path / "run", draws=100, controls=["none"])
    other = Oracle(items_of(medqa), identity="1" * 64)
    with pytest.raises(ValueError, match="another candidate"):
        chiasm.bench("medqa", data=medqa, model=other, out=tmp_path / "run", draws=100, controls=["none"])
    with pytest.raises(ValueError, match="of other items"):
        chiasm.bench(
            "medqa", data=medqa, model=Oracle(items_of(medqa)), out=tmp_path / "run", limit=9, controls=["none"]
        )


def test_stored_answers_score_the_same_without_the_candidate(medqa: Path, tmp_path: Path) -> None:
    first = chiasm.bench("medqa", data=medqa, model=Oracle(items_of(medqa)), out=tmp_path / "run", draws=100)
    again = chiasm.bench_score(tmp_path / "run")
    assert again.document == first.document == json.loads((tmp_path / "run" / RESULT).read_text())
    stored = tmp_path / "run" / ITEMS
    stored.write_text(stored.read_text().replace('"answer": [0]', '"answer": [1]'))
    with pytest.raises(ValueError, match="was changed since"):
        chiasm.bench_score(tmp_path / "run")


def test_nothing_shown_is_the_same_in_two_ways_of_asking(medqa: Path) -> None:
    known: dict[str, Any] = {}
    key = {item.question: item.options[item.positions[0]] for item in items_of(medqa)}
    found = chiasm.bench(
        "medqa", data=medqa, model=lambda own: known.setdefault(own["id"], key.get(own["question"], "B")), draws=100
    )
    assert len(known) == 60 * 3 and found.verdict.uses["question"] == "used"


def test_a_refused_run_leaves_a_finished_one_as_it_was(medqa: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    chiasm.bench("medqa", data=medqa, model=Oracle(items_of(medqa)), out=out, draws=100, controls=["none"])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="of other items"):
        chiasm.bench("medqa", data=medqa, model=Oracle(items_of(medqa)), out=out, limit=9, draws=100)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert chiasm.bench_score(out).document["items"]["asked"] == 60


def test_a_run_is_scored_where_its_images_no_longer_lie(tmp_path: Path) -> None:
    folder = confusing_folder(tmp_path / "pairs", images=True)
    first = chiasm.bench("mediconfusion", data=folder, model=Fixed(0, "a" * 64), out=tmp_path / "run", draws=100)
    folder.rename(tmp_path / "elsewhere")
    assert chiasm.bench_score(tmp_path / "run").document == first.document
    assert len(chiasm.bench_compare(tmp_path / "run", tmp_path / "run", draws=100).pairs)


def test_items_at_which_a_candidate_failed_are_asked_again(medqa: Path, tmp_path: Path) -> None:
    run = partial(chiasm.bench, "medqa", data=medqa, out=tmp_path / "run", controls=["none"], draws=100)
    oracle = Out(items_of(medqa), down=range(100))
    with pytest.raises(ValueError, match="no answer to any of the first 20"):
        run(model=oracle)
    for down, crashed in ((range(30, 40), 10), (range(0), 0), (range(100), 0)):
        oracle.down = down
        assert run(model=oracle).document["ways"]["candidate"].get("crashed", 0) == crashed
    assert run(model=oracle).document["scores"][0]["value"] == 1.0 and len(oracle.seen) == 20 + 60 + 10


class Out(Oracle):
    """A candidate that is down for some of the places in the order in which it is asked."""

    def __init__(self, items: Any, down: range) -> None:
        super().__init__(items)
        self.down = down

    def answer(self, items: Any) -> Any:
        from chiasm.bench.reply import Reply

        for place, (item, reply) in enumerate(zip(items, super().answer(items), strict=True)):
            yield Reply(item.key, failure="crashed", note="URLError") if place in self.down else reply


def test_two_runs_at_once_into_one_folder_are_refused(medqa: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def answers(item: dict[str, Any]) -> int:
        if not said:
            try:
                chiasm.bench("medqa", data=medqa, model=first_letter, out=tmp_path / "run", draws=100)
            except ValueError as error:
                said.append(str(error))
        return 0

    out = tmp_path / "run"
    found = chiasm.bench("medqa", data=medqa, model=answers, out=out, controls=["none"], draws=100)
    assert "another run writes" in said[0] and chiasm.bench_score(out).document == found.document


def test_a_suite_of_ones_own_is_scored_and_compared(medqa: Path, tmp_path: Path) -> None:
    mine = replace(MEDQA, name="mine")
    for name in "ab":
        oracle = Oracle(items_of(medqa), identity=name * 64)
        chiasm.bench(mine, data=medqa, model=oracle, out=tmp_path / name / "mine", controls=["none"], draws=100)
    assert chiasm.bench_score(tmp_path / "a" / "mine", suite=mine).document["suite"] == "mine"
    assert chiasm.bench_compare(tmp_path / "a", tmp_path / "b", suite=mine, draws=100).pairs[0].suite == "mine"
    assert chiasm.bench_table(tmp_path / "a", suite=mine)["suite"].tolist() == ["mine"]
    with pytest.raises(ValueError, match="of 'mine', not of 'medqa'"):
        chiasm.bench_score(tmp_path / "a" / "mine", suite=MEDQA)


def test_a_limit_draws_whole_groups_and_is_said(tmp_path: Path) -> None:
    folder = confusing_folder(tmp_path / "pairs")
    found = chiasm.bench("mediconfusion", data=folder, model=lambda item: 0, limit=11, draws=100, controls=["none"])
    assert found.document["items"] | {"digest": ""} == {"asked": 12, "read": 80, "digest": "", "limit": 11}
    assert found.verdict.outcome == "too few to say"
    sizes = found.items().groupby("group").size()
    assert len(sizes) == 6 and set(sizes) == {2}


def test_what_a_function_raises_or_returns_is_counted(medqa: Path) -> None:
    def strange(item: dict[str, Any]) -> Any:
        number = int(item["id"], 16) % 6
        if number == 0:
            raise KeyError(item["question"])
        return [None, 7, [0.1, 0.2], {"a": 1}, [0.1, 0.9, 0.2, 0.3], "A"][number - 1]

    found = chiasm.bench("medqa", data=medqa, model=strange, controls=["none"], draws=100)
    ways = found.document["ways"]["candidate"]
    assert set(ways) == {"crashed", "empty", "no such letter", "not a number", "answered"} and sum(ways.values()) == 60
    assert "count as wrong: one that " in found.verdict.sentence
    assert f"one that is empty ({ways['empty']:,} times)" in found.verdict.sentence
    mute = chiasm.bench("medqa", data=medqa, model=lambda item: "Das ist nicht bekannt.", controls=["none"], draws=100)
    assert mute.verdict.sentence.startswith("Nothing that it said could be read as an answer")
    assert (
        "60 of 60 answers are none, and count as wrong: one that names no option (60 times)." in mute.verdict.sentence
    )
    with pytest.raises(ValueError, match=r"none|no answer to any of the first 20 items.*KeyError"):
        chiasm.bench("medqa", data=medqa, model=raising, controls=["none"])


def raising(item: dict[str, Any]) -> str:
    raise KeyError(item["question"])


PROGRAM = """
import json, sys, time
for number, line in enumerate(sys.stdin):
    row = json.loads(line)
    if number == 2: sys.exit(3)
    if number == 1 and {slow}: time.sleep(60)
    print(json.dumps({{"id": row["id"], "answer": row["options"][0]}}), flush=True)
"""


def test_a_command_that_ends_or_is_silent_is_counted_and_started_again(medqa: Path, tmp_path: Path) -> None:
    shown = [asked(item) for item in items_of(medqa)[:6]]
    (tmp_path / "ends.py").write_text(PROGRAM.format(slow=False))
    ends = open_command(f"{sys.executable} {tmp_path / 'ends.py'}", timeout=20)
    replies = list(ends.answer(shown))
    assert [own.failure for own in replies] == ["", "", "crashed"] * 2 and "ended with 3" in replies[2].note
    (tmp_path / "slow.py").write_text(PROGRAM.format(slow=True))
    slow = open_command(f"{sys.executable} {tmp_path / 'slow.py'}", timeout=0.5)
    assert [own.failure for own in slow.answer(shown[:3])][1] == "silent"
    talks = open_command(f"{sys.executable} -c \"print('hello', flush=True); input()\"", timeout=20)
    assert [own.note for own in talks.answer(shown[:1])] == ["a line that is no JSON"]


def test_two_candidates_are_compared_item_by_item(medqa: Path, tmp_path: Path) -> None:
    items = items_of(medqa)
    for name, wrong in (("a", 24), ("b", 6)):
        lost = frozenset(item.id for item in items[:wrong])
        oracle = Oracle(items, lost, identity=name * 64, name=name)
        chiasm.bench("medqa", data=medqa, model=oracle, out=tmp_path / name / "medqa", draws=100, controls=["none"])
    found = chiasm.bench_compare(tmp_path / "a", tmp_path / "b", out=tmp_path / "table.md", draws=100)
    row = found.table().set_index("figure").loc["accuracy"]
    assert (row["gained"], row["lost"], row["test"]) == (18, 0, "McNemar, exact")
    assert row["p"] == pytest.approx(2 * 0.5**18) and row["difference"] == pytest.approx(0.3) and row["low"] > 0
    text = (tmp_path / "table.md").read_text()
    assert "| medqa | accuracy | 60 | 0.600 | 0.900 | 0.300" in text and "McNemar" in text
    for ending, sign in ((".tex", r"\toprule"), (".csv", "suite,figure")):
        chiasm.bench_compare(tmp_path / "a", tmp_path / "b", out=tmp_path / f"table{ending}", draws=100)
        assert sign in (tmp_path / f"table{ending}").read_text()
    with pytest.raises(ValueError, match="must end in"):
        chiasm.bench_compare(tmp_path / "a", tmp_path / "b", out=tmp_path / "table.xlsx")


def test_groups_are_compared_as_groups(tmp_path: Path) -> None:
    folder = confusing_folder(tmp_path / "pairs")
    for name, said in (("a", 0), ("b", 1)):
        chiasm.bench("mediconfusion", data=folder, model=Fixed(said, name * 64), out=tmp_path / name, draws=100)
    rows = chiasm.bench_compare(tmp_path / "a", tmp_path / "b", draws=100).table().set_index("figure")
    assert rows.loc["accuracy", "test"] == "signs of groups flipped" and rows.loc["accuracy", "p"] == 1.0
    assert rows.loc["set_accuracy", "test"] == "McNemar, exact" and rows.loc["set_accuracy", "units"] == 40


def test_half_a_pair_that_stands_in_both_runs_is_no_set(tmp_path: Path) -> None:
    pairs = confusing_pairs(40)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(json.dumps(pairs))
        oracle = Oracle(items_of(tmp_path / name, "mediconfusion"), identity=name * 64)
        out = tmp_path / f"run-{name}"
        chiasm.bench("mediconfusion", data=tmp_path / name, model=oracle, out=out, draws=100, controls=["none"])
        pairs["10001"]["im_2"] = "another.jpg"
        pairs["10001"]["im_2_local"] = None
    found = chiasm.bench_compare(tmp_path / "run-a", tmp_path / "run-b", draws=100)
    rows = found.table().set_index("figure")
    assert rows.loc["accuracy", "n"] == 79 and rows.loc["set_accuracy", "n"] == 39
    assert found.notes == ("mediconfusion: 1 and 1 items stand in one run only and are left out",)


class Fixed(Oracle):
    """Always the same position."""

    def __init__(self, place: int, identity: str) -> None:
        super().__init__((), identity=identity, name=f"fixed {place}")
        self.place = place

    def answer(self, items: Any) -> Any:
        from chiasm.bench.reply import Reply

        return (Reply(item.key, "AB"[self.place]) for item in items)


def test_worked_examples_that_are_items_of_the_test_are_refused(medqa: Path, tmp_path: Path) -> None:
    from chiasm.bench.shots import read_shots

    items = MEDQA.read(medqa)
    with pytest.raises(ValueError, match="holds the items of the test"):
        read_shots(medqa / "medqa_us_4_options_test.jsonl", items, 2)
    rows = medqa_rows(60)[:3]
    rows[0] |= {"question": rows[0]["question"].upper().replace("FIRST", "now")}
    with pytest.raises(ValueError, match="3 of the 3 worked examples"):
        read_shots(write_lines(tmp_path / "near.jsonl", rows), items, 3)
    other = [
        {"question": f"Which bone number {k} is longest?", "options": ["femur", "ulna"], "answer": "A"}
        for k in range(3)
    ]
    shots = read_shots(write_lines(tmp_path / "train.jsonl", other), items, 2)
    assert len(shots) == 2 and shots[0].answer == 0
    with pytest.raises(ValueError, match="none of its options"):
        read_shots(write_lines(tmp_path / "bad.jsonl", [other[0] | {"answer": "Z"}]), items, 1)
    with pytest.raises(ValueError, match="for a language model"):
        open_candidate("python:json:dumps", shots=shots)


def test_a_folder_and_a_function_keep_their_names() -> None:
    import chiasm.bench.item

    assert callable(chiasm.bench) and chiasm.bench.__module__ == "chiasm.api.benching"


def test_identity_tells_candidates_apart(tmp_path: Path) -> None:
    one, other = (open_candidate(f"python:json:{name}").identity for name in ("dumps", "loads"))
    assert one != other and np.all([len(own) == 64 for own in (one, other)])
    for text in ("python:json:nothing", "nobody", "command:no-such-program", "lm:", "python:no.such:thing"):
        with pytest.raises(ValueError, match=r"\S"):
            open_candidate(text)
