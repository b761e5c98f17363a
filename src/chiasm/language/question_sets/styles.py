"""Releases of questions, captions and reports on images, each read as it lies on this machine; nothing is fetched.

`slake`: a JSON list for each split, images under `imgs/`. `vqa-rad`: one JSON list, in which the questions of the test
set are told by their `phrase_type`. `pathvqa`: rows of `image`, `question` and `answer`, a file for each split; its
pickled release is refused. `roco`: a table of names and captions for each split, tab-separated or CSV, images beside
it. `mimic-cxr`: the tables of splits and images, and the reports as text files in the folders of patients and studies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.language.released import found_file, json_of, needed, rows_of, stays_inside, text_of, words

TRAIN, TEST = "train", "test"
SPLITS = {"train": TRAIN, "training": TRAIN, "val": TRAIN, "validate": TRAIN, "validation": TRAIN, "valid": TRAIN,
          "dev": TRAIN, "test": TEST}  # fmt: skip
"""Names of splits, and the side they are on: validation questions are learned from."""
YES_NO = ("yes", "no")
IMAGE_ENDINGS = (".jpg", ".png", ".jpeg", ".tif", ".dcm")


@dataclass(frozen=True)
class Asked:
    """One question of a release, or one caption, whose question is empty.

    Args:
        id: its name in the release.
        question, answer: as they are written.
        closed: whether it is answered by yes or no.
        image: the file; None where it does not lie there.
        group: what belongs together: the image, or the patient.
        split: "train" or "test".
    """

    id: str
    question: str
    answer: str
    closed: bool
    image: Path | None
    group: str
    split: str


@dataclass(frozen=True)
class Release:
    """What was read of a release, and how many rows were left out, by reason."""

    rows: tuple[Asked, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True)
class Style:
    """A way in which a release lies on the disk.

    Args:
        name: by which it is asked for.
        reads: gives each row, or the reason why it is left out.
        source: where the release is described.
    """

    name: str
    reads: Callable[[Path], Iterator[Asked | str]]
    source: str


def read_release(folder: Path | str, style: str) -> Release:
    """Read a release.

    Raises:
        ValueError: there is no such style, a file lacks or cannot be read, or no row is left.
    """
    if style not in STYLES:
        raise ValueError(f"there is no style '{style}': it is one of {', '.join(STYLES)}")
    rows, lost, seen = list[Asked](), dict[str, int](), set[str]()
    for own in STYLES[style].reads(Path(folder)):
        why = own if isinstance(own, str) else "its name stands twice" if own.id in seen else ""
        if why or isinstance(own, str):
            lost[why] = lost.get(why, 0) + 1
            continue
        seen.add(own.id)
        rows.append(own)
    if not rows:
        told = "; ".join(f"{number:,}: {why}" for why, number in lost.items())
        raise ValueError(f"'{Path(folder).name}' holds no row that can be used" + (f" ({told})" if told else ""))
    return Release(tuple(rows), lost)


def _slake(folder: Path) -> Iterator[Asked | str]:
    files = {TRAIN: ("train.json",), "validate": ("validate.json",), TEST: ("test.json", "slake_test_en.json")}
    for split, path in _split_files(folder, files, STYLES["slake"].source):
        for row in _objects(path):
            if row.get("q_lang", "en") != "en":
                yield "the question is not in English"
                continue
            yield from _asked(row, folder, "imgs", image="img_name", id_="qid", split=split)


def _vqa_rad(folder: Path) -> Iterator[Asked | str]:
    path = found_file(folder, "VQA_RAD Dataset Public.json", "VQA_RAD.json", source=STYLES["vqa-rad"].source)
    for row in _objects(path):
        split = TEST if str(row.get("phrase_type", "")).startswith("test") else TRAIN
        yield from _asked(row, folder, "VQA_RAD Image Folder", image="image_name", id_="qid", split=split)


def _pathvqa(folder: Path) -> Iterator[Asked | str]:
    if not any(_named(folder, split) for split in ("train", "val", TEST)) and any(folder.glob("*.pkl")):
        raise ValueError(
            f"'{folder.name}' holds the pickled release, and opening a pickle can run any code: write its rows as "
            "train.jsonl, val.jsonl and test.jsonl with image, question and answer"
        )
    names = {split: tuple(f"{split}{own}" for own in ROWS) for split in ("train", "val", TEST)}
    for split, path in _split_files(folder, names, STYLES["pathvqa"].source):
        for number, row in rows_of(path):
            given = {"id": f"{path.stem}-{number}", **row}
            yield from _asked(given, folder, "images", image="image", id_="id", split=split)


ROWS = (".jsonl", ".json", ".csv", ".parquet")


def _named(folder: Path, split: str) -> bool:
    return any((folder / f"{split}{own}").is_file() for own in ROWS)


def _asked(
    row: Mapping[str, Any], folder: Path, inside: str, *, image: str, id_: str, split: str
) -> Iterator[Asked | str]:
    try:
        question, answer = needed(row, "question"), needed(row, "answer")
        name, own = needed(row, id_), words(row, image)
    except KeyError as error:
        yield f"the row has no '{error.args[0]}'"
        return
    except ValueError as error:
        yield str(error)
        return
    told = words(row, "answer_type").upper()
    closed = answer.casefold() in YES_NO and told in ("", "CLOSED")
    group = own or f"without image {name}"
    yield Asked(name, question, answer, closed, _image(folder, own, inside), group, SPLITS[split])


def _roco(folder: Path) -> Iterator[Asked | str]:
    found = False
    for split in ("train", "validation", "valid", "test"):
        tables = [
            folder / split / "radiology" / "captions.txt",
            folder / f"{split}_captions.csv",
            folder / f"{split}.csv",
        ]
        for table in (own for own in tables if own.is_file()):
            found = True
            for name, caption in _captions(table):
                if not caption:
                    yield "the caption is empty"
                    continue
                places = (table.parent / "images", folder / split, folder / "images", folder / f"{split}_images")
                yield Asked(name, "", caption, False, _beside(places, name), name, SPLITS[split])
    if not found:
        source = STYLES["roco"].source
        raise ValueError(f"'{folder.name}' lacks train/radiology/captions.txt or train_captions.csv, from {source}")


def _captions(table: Path) -> Iterator[tuple[str, str]]:
    if table.suffix == ".csv":
        for _, row in rows_of(table):
            yield words(row, "ID", "id", "name"), words(row, "Caption", "caption")
        return
    for line in text_of(table).split("\n"):
        name, _, caption = line.partition("\t")
        if name.strip():
            yield name.strip(), caption.strip()


def _mimic(folder: Path) -> Iterator[Asked | str]:
    source = STYLES["mimic-cxr"].source
    table = found_file(folder, "mimic-cxr-2.0.0-split.csv", "split.csv", source=source)
    for _, row in rows_of(table):
        name, study, patient = (words(row, key) for key in ("dicom_id", "study_id", "subject_id"))
        split = words(row, "split").casefold()
        if not (name and study and patient and split in SPLITS):
            yield "the row lacks an image, a study, a patient or a split"
            continue
        own = folder / "files" / f"p{patient[:2]}" / f"p{patient}"
        report = own / f"s{study}.txt"
        if not all(stays_inside(part) for part in (name, study, patient)) or not report.is_file():
            yield "its report does not lie there"
            continue
        said = report_of(text_of(report))
        if not said:
            yield "its report has neither findings nor an impression"
            continue
        yield Asked(name, "", said, False, _beside((own / f"s{study}",), name), patient, SPLITS[split])


SECTION = re.compile(r"^[ \t]*([A-Z][A-Z /()_-]{2,60}):", re.MULTILINE)


def report_of(text: str) -> str:
    """The findings and the impression of a report, each on a line of its own without breaks; "" without either."""
    marks = list(SECTION.finditer(text))
    ends = [*(mark.start() for mark in marks[1:]), *([len(text)] if marks else [])]
    sections = {
        mark[1].strip(): " ".join(text[mark.end() : end].split()) for mark, end in zip(marks, ends, strict=True)
    }
    return "\n".join(filter(None, (sections.get(name, "") for name in ("FINDINGS", "IMPRESSION"))))


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    rows = json_of(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"'{path.name}' is no list of objects: fetch it again")
    yield from rows


def _split_files(folder: Path, names: Mapping[str, Iterable[str]], source: str) -> Iterator[tuple[str, Path]]:
    """The files of the splits that lie there, of which there has to be one."""
    there = [(split, folder / name) for split, own in names.items() for name in own if (folder / name).is_file()]
    if not there:
        found_file(folder, *(name for own in names.values() for name in own), source=source)
    yield from there


def _image(folder: Path, name: str, inside: str) -> Path | None:
    """An image by its name, in the folder for it or beside; None where it does not lie there, or leaves the folder."""
    if not name or not stays_inside(name):
        return None
    return next((place for place in (folder / inside / name, folder / name) if place.is_file()), None)


def _beside(places: Iterable[Path], name: str) -> Path | None:
    if not stays_inside(name):
        return None
    every = (place / f"{name}{ending}" for place in places for ending in ("", *IMAGE_ENDINGS))
    return next((path for path in every if path.is_file()), None)


STYLES = {
    own.name: own
    for own in (
        Style("slake", _slake, "https://www.med-vqa.com/slake"),
        Style("vqa-rad", _vqa_rad, "https://osf.io/89kps"),
        Style("pathvqa", _pathvqa, "https://github.com/UCSD-AI4H/PathVQA"),
        Style("roco", _roco, "https://github.com/razorx89/roco-dataset"),
        Style("mimic-cxr", _mimic, "https://physionet.org/content/mimic-cxr-jpg"),
    )
}
