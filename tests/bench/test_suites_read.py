"""Released files become items; what lacks, is of another version or gives its answer away is refused or counted."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from chiasm.bench.item import Item
from chiasm.bench.reading import IN_QUESTION
from chiasm.bench.shots import Shot
from chiasm.bench.suite import Suite
from chiasm.bench.suites import suite_named, suite_names, suites
from chiasm.bench.suites.mmlu import SUBJECTS, read_subject
from chiasm.language.examples import taken_from
from made_suites import confusing_folder, confusing_pairs, medqa_folder, medqa_rows, write_lines


def test_every_suite_of_the_catalogue_is_one_and_cites_a_paper() -> None:
    for own in suites():
        assert isinstance(own, Suite) and own.paper.link.startswith("https://") and own.source.startswith("https://")
        assert own.files and own.licence and own.setting
    with pytest.raises(ValueError, match="did you mean 'medqa'"):
        suite_named("medqua")


@pytest.mark.parametrize("name", suite_names())
def test_a_folder_without_the_files_is_refused_with_their_names(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lacks"):
        suite_named(name).read(tmp_path)
    with pytest.raises(ValueError, match="no folder"):
        suite_named(name).read(tmp_path / "none")


def test_medqa_reads_letters_and_counts_what_does_not_fit(tmp_path: Path) -> None:
    rows = medqa_rows(8)
    rows[1]["answer_idx"] = "E"
    rows[2]["answer"] = "another text"
    rows[3]["question"] = f"Is {rows[3]['answer']} right?"
    rows[4]["options"]["B"] = rows[4]["options"]["A"]
    rows[4] |= {"answer_idx": "A", "answer": rows[4]["options"]["A"]}
    rows[5]["question"] = ""
    del rows[6]["options"]
    write_lines(tmp_path / "medqa_us_4_options_test.jsonl", rows)
    items = suite_named("medqa").read(tmp_path)
    assert len(items) == 4 and sum(items.left_out.values()) == 4
    told = " | ".join(map(str, items.problems))
    for part in ("another version", "'options' lacks", "two options of the same text", "words of the right option"):
        assert part in told
    assert [item.tags[IN_QUESTION] for item in items.items].count("yes") == 1
    assert next(item for item in items.items if len(item.positions) == 2).positions == (0, 1)


@pytest.mark.parametrize("content", ["", "\n", "not json\n", "[1]\n", '{"question": "x"}\n', "\xff"])
def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "medqa_us_4_options_test.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match="medqa_us_4_options_test"):
        suite_named("medqa").read(tmp_path)


@pytest.mark.parametrize(
    ("places", "right"), [((1, 2, 4), (0, 1, 3)), ((0, 2, 3), (0, 2, 3)), ((1, 2, 3), None), ((0, 4, 1), None)]
)
def test_medmcqa_tells_where_it_counts_from_or_is_refused(
    tmp_path: Path, places: tuple[int, ...], right: tuple[int, ...] | None
) -> None:
    rows = [
        {
            "question": f"q{k}",
            "cop": cop,
            "opa": "w",
            "opb": "x",
            "opc": "y",
            "opd": "z",
            "subject_name": "Surgery",
            "id": f"i{k}",
        }
        for k, cop in enumerate(places)
    ]
    write_lines(tmp_path / "medmcqa_dev.jsonl", rows)
    if right is None:
        with pytest.raises(ValueError, match="from 0 or from 1"):
            suite_named("medmcqa").read(tmp_path)
    else:
        assert tuple(item.answer[0] for item in suite_named("medmcqa").read(tmp_path).items) == right


def test_mmlu_reads_six_subjects_with_marks_in_their_fields(tmp_path: Path) -> None:
    for subject in SUBJECTS:
        (tmp_path / "mmlu").mkdir(exist_ok=True)
        with (tmp_path / "mmlu" / f"{subject}_test.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(
                [[f'The "first", of {subject}\nis', "a, b", "c", "d", "e", "B"], ["short", "a", "b"]]
            )
    items = suite_named("mmlu-medicine").read(tmp_path)
    assert (
        len(items) == 6
        and items.items[0].answer == (1,)
        and items.left_out == {"a row has not six fields: question, four options, letter": 6}
    )
    assert {item.tags["subject"] for item in items.items} == set(SUBJECTS)


def test_pubmedqa_asks_the_test_split_and_never_shows_the_conclusion(tmp_path: Path) -> None:
    release = {
        str(k): {
            "QUESTION": f"Does {k}?",
            "CONTEXTS": ["Aim.", f"Result {k}."],
            "LONG_ANSWER": "It does.",
            "final_decision": label,
        }
        for k, label in enumerate(["yes", "no", "maybe", "yes"])
    }
    (tmp_path / "ori_pqal.json").write_text(json.dumps(release))
    (tmp_path / "test_ground_truth.json").write_text(json.dumps({"1": "no", "2": "maybe"}))
    items = suite_named("pubmedqa").read(tmp_path).items
    assert [item.id for item in items] == ["1", "2"] and all("It does" not in item.context for item in items)
    assert all(item.context == "It does." for item in suite_named("pubmedqa-conclusion").read(tmp_path).items)
    table = tmp_path / "table"
    table.mkdir()
    frame = pd.DataFrame(
        {"pmid": ["1", "2", "3"], "question": "q", "abstract": "a", "decision": ["yes", "no", "perhaps"]}
    )
    frame.to_parquet(table / "items.parquet")
    pd.DataFrame({"pmid": ["1", "2", "3"], "fold": ["train", "0", "0"]}).to_csv(table / "folds.csv", index=False)
    found = suite_named("pubmedqa").read(table)
    assert [item.id for item in found.items] == ["2"] and sum(found.left_out.values()) == 1


def test_mediconfusion_makes_two_items_of_a_pair_and_finds_its_images(tmp_path: Path) -> None:
    items = suite_named("mediconfusion").read(confusing_folder(tmp_path / "a", 3, images=True)).items
    assert len(items) == 6 and all(item.attachments[0].is_there for item in items)
    assert {item.group for item in items} == {"10001", "10002", "10003"}
    pairs = confusing_pairs(2)
    pairs["10001"]["im_2_correct"] = pairs["10001"]["im_1_correct"]
    pairs["10002"]["im_1"] = "../../secret.jpg"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "dataset.json").write_text(json.dumps(pairs))
    found = suite_named("mediconfusion").read(tmp_path / "b")
    assert len(found) == 2 and sum(found.left_out.values()) == 2
    assert all(own.path.is_relative_to(tmp_path / "b") for item in found.items for own in item.attachments)


def test_slake_asks_yes_and_no_as_options_and_the_rest_as_text(tmp_path: Path) -> None:
    row = {"img_name": "x1/source.jpg", "q_lang": "en", "modality": "CT", "content_type": "Organ", "location": "Lung"}
    rows = [
        row | {"qid": 1, "question": "Is it?", "answer": "No", "answer_type": "CLOSED"},
        row | {"qid": 2, "question": "Which is bigger, lung or liver?", "answer": "Lung", "answer_type": "CLOSED"},
        row | {"qid": 3, "question": "What organ?", "answer": "Heart", "answer_type": "OPEN"},
        row | {"qid": 4, "question": "什么?", "answer": "心", "answer_type": "OPEN", "q_lang": "zh"},
    ]
    (tmp_path / "test.json").write_text(json.dumps(rows))
    items = suite_named("slake").read(tmp_path)
    assert [item.options for item in items.items] == [("Yes", "No"), (), ()] and items.items[0].answer == (1,)
    assert [item.tags["answer"] for item in items.items] == ["closed", "closed", "open"]
    assert items.left_out == {"the question is not in English": 1}


def test_items_with_the_same_name_or_no_answer_are_refused(tmp_path: Path) -> None:
    from chiasm.bench.item import Items

    own = Item("1", "q", ("a", "b"), (0,))
    with pytest.raises(ValueError, match="same id"):
        Items((own, own))
    for options, answer in (((), ()), (("a",), (0,)), (("a", "b"), (2,)), (("a", " "), (0,)), ((), ("",))):
        with pytest.raises(ValueError, match="item"):
            Item("1", "q", options, answer)
    medqa_folder(tmp_path)
    read = suite_named("medqa").read(tmp_path)
    assert read.digest == Items(tuple(reversed(read.items))).digest != read.limited(5).digest


@pytest.mark.parametrize("letter", ["", "BC", "ABCD", "E", "b"])
def test_an_answer_of_mmlu_is_one_letter(tmp_path: Path, letter: str) -> None:
    (tmp_path / "x_test.csv").write_text(f"Q?,a,b,c,d,B\nR?,a,b,c,d,{letter}\n")
    found = read_subject(tmp_path / "x_test.csv", "x")
    assert [item.answer for item in found.items] == [(1,)]
    assert found.left_out == {"the answer is no letter from A to D": 1}


def test_half_a_pair_is_left_out_whole_and_no_path_leaves_the_folder(tmp_path: Path) -> None:
    pairs = confusing_pairs(4)
    del pairs["10001"]["im_2"]
    pairs["10002"] |= {"im_1": "..", "im_1_local": "../../x"}
    pairs["10003"] |= {"im_1": "\ud83d.jpg", "im_1_local": "\ud83d"}
    (tmp_path / "dataset.json").write_text(json.dumps(pairs))
    found = suite_named("mediconfusion").read(tmp_path)
    assert {item.group for item in found.items} == {"10004"} and sum(found.left_out.values()) == 6


def test_images_behind_a_link_are_found_and_those_outside_are_not(tmp_path: Path) -> None:
    row = {"q_lang": "en", "question": "Is it?", "answer": "No", "answer_type": "CLOSED"}
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.jpg").write_bytes(b"1")
    (tmp_path / "b.jpg").write_bytes(b"1")
    folder = tmp_path / "slake"
    folder.mkdir()
    (folder / "imgs").symlink_to(tmp_path / "elsewhere")
    names = ["a.jpg", "../../b.jpg", "..", "..\\b.jpg"]
    (folder / "test.json").write_text(json.dumps([row | {"qid": k, "img_name": own} for k, own in enumerate(names)]))
    found = suite_named("slake").read(folder)
    assert [[own.is_there for own in item.attachments] for item in found.items] == [[True], [False], [False]]
    assert sum(found.left_out.values()) == 1 and "2 items of 3" in " ".join(map(str, found.problems))
    pairs = confusing_folder(tmp_path / "pairs", 2, images=True)
    (pairs / "images").rename(tmp_path / "moved")
    (pairs / "images").symlink_to(tmp_path / "moved")
    assert all(item.attachments[0].is_there for item in suite_named("mediconfusion").read(pairs).items)


def test_pubmedqa_counts_what_lacks_and_refuses_an_empty_test_split(tmp_path: Path) -> None:
    whole = {
        "QUESTION": "Does it?",
        "CONTEXTS": ["Aim.", "Result."],
        "LONG_ANSWER": "It does.",
        "final_decision": "yes",
    }
    odd = [{"QUESTION": None}, {"CONTEXTS": None}, {"CONTEXTS": []}, {"CONTEXTS": [1]}, {"final_decision": None}]
    rows = {str(k): whole | own for k, own in enumerate([{}, {"CONTEXTS": "One text."}, *odd])}
    (tmp_path / "ori_pqal.json").write_text(json.dumps({**rows, "7": {"QUESTION": "Does it?"}, "8": 1}))
    found = suite_named("pubmedqa").read(tmp_path)
    assert [item.context for item in found.items] == ["Aim.\nResult.", "One text."]
    assert sum(found.left_out.values()) == 7
    (tmp_path / "test_ground_truth.json").write_text('{"0": "yes", "99": "no"}')
    found = suite_named("pubmedqa").read(tmp_path)
    assert len(found) == 1 and sum(found.left_out.values()) == 1
    (tmp_path / "test_ground_truth.json").write_text("{}")
    with pytest.raises(ValueError, match="names no question"):
        suite_named("pubmedqa").read(tmp_path)
    table = tmp_path / "table"
    table.mkdir()
    frame = {"pmid": ["1", "2", "3"], "question": ["q", None, "q"], "abstract": ["a", "a", None], "decision": "yes"}
    pd.DataFrame(frame).to_parquet(table / "items.parquet")
    found = suite_named("pubmedqa").read(table)
    assert len(found) == 1 and sum(found.left_out.values()) == 2


def test_lines_end_where_json_lines_do_and_odd_content_is_a_sentence(tmp_path: Path) -> None:
    rows = medqa_rows(4)
    rows[0]["question"] = "one\u2028two\x85three\x0bfour\x0c?"
    rows[1]["question"] = "half a sign \ud83d?"
    path = tmp_path / "medqa_us_4_options_test.jsonl"
    text = "\r\n".join(json.dumps(row, ensure_ascii=k == 1) for k, row in enumerate(rows))
    path.write_text(text.replace("\\u000b", "\x0b").replace("\\f", "\x0c"), encoding="utf-8")
    with pytest.raises(ValueError, match="line 1 of"):  # JSON holds no raw sign of control
        suite_named("medqa").read(tmp_path)
    path.write_text(text, encoding="utf-8")
    found = suite_named("medqa").read(tmp_path)
    assert len(found) == 3 and found.items[0].question == rows[0]["question"]
    assert sum(found.left_out.values()) == 1
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="too deeply"):
        suite_named("medqa").read(tmp_path)
    (tmp_path / "dataset.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="too deeply"):
        suite_named("mediconfusion").read(tmp_path)
    exam = [{"question": f"q{k}", "cop": cop, **dict.fromkeys(("opa", "opb", "opc", "opd"), "x")} for k, cop in
            enumerate([1, 4, [1]])]  # fmt: skip
    write_lines(tmp_path / "medmcqa_dev.jsonl", exam)
    assert suite_named("medmcqa").read(tmp_path).left_out == {"the answer is no number": 1}


def test_a_worked_example_is_an_item_without_its_context_too(tmp_path: Path) -> None:
    own = Item("1", "Does zinc help?", ("yes", "no", "maybe"), (0,), context="A long abstract on zinc and colds. " * 9)
    long = Item("2", " ".join(f"word{k}" for k in range(14)), ("a", "b"), (0,))
    stock = Item("3", "All of these are true except?", ("first one", "second one"), (0,))
    asked, labels = (own, long, stock), own.options
    for shot in (Shot(own.question, labels, 0), Shot(own.question, labels, 0, "Another text."),
                 Shot(own.question, ("Yes.", "No."), 0), Shot(long.question, ("c", "d"), 0)):  # fmt: skip
        assert taken_from([shot], asked) == [shot]
    others = [Shot("Does iron harm the heart?", labels, 0), Shot(stock.question, ("third way", "fourth way"), 0)]
    assert taken_from(others, asked) == []
