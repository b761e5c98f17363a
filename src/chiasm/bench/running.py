"""A run: a candidate and its controls on the items of a suite, its folder, and its scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import write_text
from chiasm.bench.answers import answered, header_of, require_header, stored
from chiasm.bench.controls import ASKINGS, CHOSEN, ITSELF, Asking, askings_for
from chiasm.bench.item import Item, Items, digest_of
from chiasm.bench.items_file import read_items, write_items
from chiasm.bench.marks import Marks, marked
from chiasm.bench.reply import Candidate, Reply, cut_told
from chiasm.bench.scoring import scores_by_tag, table_of, weights_of
from chiasm.bench.suite import Suite
from chiasm.bench.verdict import MARGIN, BenchVerdict, positions_of, verdict_of
from chiasm.errors import warning
from chiasm.language.parsing import WAYS
from chiasm.store.files import claimed

SCHEMA = 1
RESULT, ITEMS, ANSWERS = "bench.json", "items.jsonl", "answers"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Benched:
    """A finished run: its document, which `bench.json` holds, the marks of each way of asking, and its page."""

    document: Mapping[str, Any]
    marks: Mapping[str, Marks]
    render: Callable[[Mapping[str, Any]], str] | None = None

    @property
    def verdict(self) -> BenchVerdict:
        """The verdict in words."""
        own = self.document["verdict"]
        return BenchVerdict(own["outcome"], own["sentence"], own["uses"])

    def table(self) -> pd.DataFrame:
        """A row for each figure and way of asking: value, interval, Wilson's interval, number of items, chance."""
        return pd.DataFrame(self.document["scores"]).drop(columns=["tag", "level"])

    def tags(self) -> pd.DataFrame:
        """The primary figure of the candidate within each tag."""
        return pd.DataFrame(self.document["by_tag"])

    def items(self) -> pd.DataFrame:
        """A row for each item: its id, group, what was answered, how it was read, and whether that is right."""
        own = self.marks[ITSELF]
        rows = {"item": [i.id for i in own.items], "group": [i.unit for i in own.items], "position": own.positions}
        return pd.DataFrame({**rows, "way": own.ways, "right": own.right, "text": own.texts})

    def report(self, path: Path | str) -> Path:
        """Write the page: one HTML file that needs nothing else, with no question and no answer on it."""
        if self.render is None:
            raise ValueError(
                "this run was made without a page: chiasm.bench and chiasm.bench_score give one that has it"
            )
        write_text(Path(path), self.render(self.document))
        return Path(path)

    def __str__(self) -> str:
        own = self.document
        return f"{own['title']}: {own['candidate']['name']}\n{own['verdict']['sentence']}"


def ran(
    suite: Suite,
    items: Items,
    candidate: Candidate,
    folder: Path,
    *,
    limit: int | None = None,
    controls: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = 1000,
    margin: float = MARGIN,
    progress: Progress = lambda name, done, whole: None,
) -> Benched:
    """Ask a candidate and its controls, and score the answers.

    Args:
        suite: what the items are of.
        items: all of them.
        candidate: who answers.
        folder: of the run; answers that it holds are not asked again.
        limit: number of items, drawn in whole groups.
        controls: names of ways of asking that run beside; None: all that have a meaning here.
        seed: of the draws of items, images and intervals.
        draws: of the bootstrap.
        margin: of the verdict.
        progress: called with (way of asking, answered, all).

    Raises:
        ValueError: the folder holds answers of another run, which stay as they are, or another run writes there now.
    """
    chosen = items.limited(limit, seed)
    askings = askings_for(chosen.items, candidate.sees_attachments, controls)
    folder.mkdir(parents=True, exist_ok=True)
    headers = {own.name: header_of(suite.name, chosen.digest, candidate.identity, own.name, seed) for own in askings}
    places = {own.name: folder / ANSWERS / f"{own.name}.jsonl" for own in askings}
    replies = {}
    with claimed(folder) as free:
        if not free:
            raise ValueError(f"another run writes into '{folder.name}' now: wait for its end, or choose another --out")
        for name, header in headers.items():
            require_header(places[name], header)
        write_items(folder / ITEMS, chosen.items)
        for own in askings:
            shown = [entry for entry, _ in own.shown(chosen.items, seed)]
            told = partial(progress, own.name)
            replies[own.name] = answered(places[own.name], headers[own.name], candidate, shown, told)
    about = {
        "schema": SCHEMA,
        "suite": suite.name,
        "title": suite.title,
        "paper": str(suite.paper),
        "link": suite.paper.link,
        "licence": suite.licence,
        "setting": suite.setting,
        "files": dict(items.files),
        "items": {"asked": len(chosen), "read": items.whole, "digest": chosen.digest, "limit": limit},
        "left_out": dict(items.left_out),
        "problems": [str(problem) for problem in items.problems] + without_meaning(controls, askings),
        "candidate": {
            "name": candidate.name,
            "identity": candidate.identity,
            "told": candidate.told,
            "sees_attachments": candidate.sees_attachments,
        },
        "seed": seed,
        "draws": draws,
        "margin": margin,
    }
    return scored_run(about, suite, chosen.items, replies, askings)


def scored_run(
    about: Mapping[str, Any],
    suite: Suite,
    items: Sequence[Item],
    replies: Mapping[str, Sequence[Reply]],
    askings: Sequence[Asking],
) -> Benched:
    """Score the replies to items: the document of a run with what is known `about` it."""
    seed, draws = int(about["seed"]), int(about["draws"])
    marks = {own.name: marked(items, replies[own.name], orders_of(own, items, seed)) for own in askings}
    marks |= {name: choose(items, seed) for name, (_, choose) in CHOSEN.items()}
    candidate = marks[ITSELF]
    weights = weights_of(candidate, draws, seed)
    figures = list(suite.figures(items))
    scores, differences = table_of(figures, marks, weights)
    primary = next(own for own in figures if own.id == suite.primary)
    first = next(own for own in scores if own.figure == primary.id and own.asking == ITSELF)
    positions = positions_of(candidate, marks.get("rotated"))
    verdict = verdict_of(
        first, differences, candidate, positions,
        label=primary.label, sees=bool(about["candidate"]["sees_attachments"]), margin=float(about["margin"]),
    )  # fmt: skip
    document = {
        **about,
        "problems": list(dict.fromkeys([*about["problems"], *cut_told(replies)])),  # once, also when scored again
        "primary": primary.id,
        "figures": {own.id: {"label": own.label, "higher_is_better": own.higher_is_better} for own in figures},
        "askings": {own.name: own.told for own in askings} | {name: told for name, (told, _) in CHOSEN.items()},
        "scores": [own.as_json() for own in scores],
        "differences": [own.as_json() for own in differences],
        "by_tag": [own.as_json() for own in scores_by_tag(primary, candidate, weights)],
        "positions": None if positions is None else positions.as_json(),
        "ways": {name: own.counted_ways() for name, own in marks.items() if name not in CHOSEN},
        "verdict": verdict.as_json(),
    }
    return Benched(document, marks)


def without_meaning(named: Sequence[str] | None, run: Sequence[Asking]) -> list[str]:
    """Say which controls were named and did not run, having nothing to change here."""
    left = sorted(set(named or ()) - {own.name for own in run})
    what = "has no meaning for these items and this candidate"
    return [str(warning(f"the control '{own}' {what}", "it did not run", finding="no-meaning")) for own in left]


def orders_of(asking: Asking, items: Sequence[Item], seed: int) -> list[tuple[int, ...]]:
    """The order in which the options of each item stood."""
    return [order for _, order in asking.change(items, seed)]


def scored_again(folder: Path, suite_named: Callable[[str], Suite], *, draws: int | None = None) -> Benched:
    """Score the stored answers of a run anew, without the candidate and without the suite's files.

    Raises:
        ValueError: the folder holds no run, its items were changed, or an answer lacks.
    """
    about = result_of(folder)
    items = read_items(folder / ITEMS)
    if digest_of(items) != about["items"]["digest"]:
        raise ValueError(f"'{ITEMS}' of '{folder.name}' was changed since it was asked: run it again")
    askings = [own for own in ASKINGS if own.name in about["askings"]]
    replies = {}
    for own in askings:
        header, rows = stored(folder / ANSWERS / f"{own.name}.jsonl")
        if header.get("items") != about["items"]["digest"] or header.get("candidate") != about["candidate"]["identity"]:
            raise ValueError(f"'{own.name}.jsonl' of '{folder.name}' holds answers of another run: run it again")
        shown = [entry for entry, _ in own.shown(items, int(about["seed"]))]
        lacking = sum(entry.key not in rows for entry in shown)
        if lacking:
            raise ValueError(f"'{own.name}.jsonl' of '{folder.name}' lacks {lacking:,} answers: run it again")
        replies[own.name] = [rows[entry.key] for entry in shown]
    kept = {key: value for key, value in about.items() if key in KEPT}
    return scored_run(
        kept | ({} if draws is None else {"draws": draws}), suite_named(about["suite"]), items, replies, askings
    )


KEPT = (
    *("schema", "suite", "title", "paper", "link", "licence", "setting", "files", "items", "left_out", "problems"),
    *("candidate", "seed", "draws", "margin"),
)
"""What of a document is known before anything is scored."""


def result_of(folder: Path) -> dict[str, Any]:
    """Read `bench.json` of a run.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    path = folder / RESULT
    if not path.is_file():
        raise ValueError(f"'{folder.name}' holds no {RESULT}: name the --out of a finished chiasm bench")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"'{RESULT}' of '{folder.name}' is damaged: score it again with chiasm bench score") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"'{RESULT}' of '{folder.name}' is of another version of chiasm: score it again")
    return document


def write_result(run: Benched, folder: Path) -> None:
    """Write `bench.json`, whole or not at all."""
    write_text(folder / RESULT, json.dumps(run.document, indent=1, allow_nan=False) + "\n")


def ways_told(ways: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was said of how answers were read, with the numbers."""
    return [(WAYS.get(way, way), number) for way, number in ways.items()]
