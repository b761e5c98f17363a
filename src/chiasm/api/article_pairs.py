"""Public function that turns articles in JATS into pairs of picture and caption, as shards or as a cohort."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import whole_file, whole_folder
from chiasm.cohort import CohortError, Problem, Unsupported
from chiasm.errors import count, error, warning
from chiasm.pretraining.articles.as_cohort import write_cohort
from chiasm.pretraining.articles.concepts import Concepts, concepts_of, read_concepts
from chiasm.pretraining.articles.licences import OPEN
from chiasm.pretraining.articles.pairs import Funnel, Pair, Wanted, pairs_of
from chiasm.pretraining.articles.shards import PER_SHARD, ShardWriter, open_shards, sample_of
from chiasm.pretraining.articles.sources import Found, articles_in
from chiasm.progress import followed
from chiasm.readers.guard import quiet
from chiasm.readers.reading import ReadError


@dataclass(frozen=True, repr=False)
class Articles:
    """Pairs of picture and caption that articles hold.

    Attributes:
        table: one row a picture of a figure: what the article says of it, whether it is `kept`, and `why` not.
        articles: how many were read; without_figures of them have none; repeated were there before.
        concepts: one row a concept: how many pairs name it, how many are filed under it; None without a list.
        out, cohort: the folders that were written.
        problems: files that could not be read.
    """

    table: pd.DataFrame
    articles: int
    without_figures: int
    repeated: int
    concepts: pd.DataFrame | None
    out: Path | None
    cohort: Path | None
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"Articles: {self.sentence}"

    @property
    def left_out(self) -> dict[str, int]:
        """How many pairs were left out, by reason, the most frequent first."""
        reasons = Counter(self.table.loc[~self.table["kept"], "why"])
        return {str(why): many for why, many in sorted(reasons.items(), key=lambda own: (-own[1], own[0]))}

    @property
    def sentence(self) -> str:
        """How many articles, pictures and pairs there are."""
        kept = int(self.table["kept"].sum())
        seen = f"{count(self.articles, 'article')}, {count(len(self.table), 'picture')} of figures"
        return f"{seen}, {count(kept, 'pair')} kept"

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a reader must know: articles without figures or there twice, captions that several pairs have."""
        said = []
        if self.without_figures:
            said.append(f"{count(self.without_figures, 'article')} without a figure")
        if self.repeated:
            said.append(f"{count(self.repeated, 'article')} left out that were there before")
        captions = self.table.loc[self.table["kept"], "caption"]
        if again := int(captions.duplicated().sum()):
            said.append(f"{count(again, 'pair')} kept with the caption of another, which a contrast takes for unlike")
        return tuple(said)

    def save(self, path: Path | str) -> Path:
        """Write the table, as .csv or .parquet; mentions and concepts stand in it as JSON.

        Raises:
            ValueError: another ending.
        """
        path = Path(path)
        if path.suffix not in (".csv", ".parquet"):
            raise ValueError(f"'{path.name}' must end in .csv or .parquet")
        flat = self.table.assign(
            **{
                own: self.table[own].map(lambda held: json.dumps(held, ensure_ascii=False))
                for own in ("mentions", "concepts")
            }
        )
        with whole_file(path) as staging:
            flat.to_csv(staging, index=False) if path.suffix == ".csv" else flat.to_parquet(staging, index=False)
        return path


def articles(
    paths: Path | str | Sequence[Path | str],
    out: Path | str | None = None,
    *,
    licences: Sequence[str] = OPEN,
    concepts: Path | str | Sequence[str] | None = None,
    most: int | None = None,
    words: int = 1,
    per_shard: int = PER_SHARD,
    cohort: Path | str | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Articles:
    """Read articles in JATS XML into pairs of picture and caption, and write them as WebDataset shards.

    A picture that is there already, pixel for pixel, is left out; what is left out, and why, stands in the table. The
    same articles and options give the same bytes.

    Args:
        paths: XML files (.nxml, .xml) with their pictures beside them, archives of an article with its pictures
            (.tar.gz, .tar), or folders of both.
        out: folder of the shards; None: only the table.
        licences: which are kept, by name as `CC-BY-4.0` or by family as `CC-BY`; `("any",)` keeps all. What states
            none, or one that is not recognised, and captions that name a permission of others, are left out otherwise.
        concepts: a file with a concept a line, other names of it after tabs, or the lines; captions that name none are
            left out.
        most: pairs at most under each concept; a pair is filed under the one that has fewest.
        words: the fewest of a caption.
        per_shard: samples a shard at most.
        cohort: folder to write the pairs of `out` to as a cohort, too: `cohort.toml`, `pairs.csv`, `pictures/`.
        force: replace the folders.

    Raises:
        CohortError: a path holds no article, or no article could be read.
        Unsupported: nothing is left to write.
        ValueError: an option out of range, or a folder that would take the place of the articles or of the other one.
        FileExistsError: a folder is there, and `force` is not asked for.
    """
    given = [Path(own) for own in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
    wanted = _wanted(licences, concepts, most, words)
    funnel = Funnel()
    if per_shard < 1:
        raise ValueError(f"{per_shard} samples a shard: one at least is needed")
    shards, folder = (None if own is None else Path(own) for own in (out, cohort))
    if folder is not None and shards is None:
        raise ValueError("a cohort is written from shards: name out too")
    for place in filter(None, (shards, folder)):
        if place.exists() and not force:
            raise FileExistsError(17, "exists already: choose another --out, or add --force to replace it", str(place))
    _require_apart(given, shards, folder)
    with followed("files", progress) as told, quiet():
        pairs = pairs_of(_told_of(given, told), wanted, funnel)
        if shards is None:
            rows = [_row(pair) for pair in pairs]
            _require_articles(funnel)
        else:
            with whole_folder(shards, replace=force) as staging:
                rows = _written(pairs, staging, per_shard, wanted, funnel)
                _require_articles(funnel)  # within, so that a folder that is there stays where nothing could be read
    if shards is not None and folder is not None:
        with whole_folder(folder, replace=force) as staging:
            write_cohort(open_shards(shards), staging)
    return Articles(
        pd.DataFrame(rows, columns=COLUMNS), funnel.articles, funnel.empty, funnel.repeated,
        _concept_table(wanted.concepts, funnel), shards, folder, tuple(_problems(funnel)),
    )  # fmt: skip


COLUMNS = [
    *("article", "figure", "label", "title", "caption", "licence", "mentions", "graphic", "file", "concepts", "key"),
    *("kept", "why", "doi", "article_title", "licence_words", "concept", "width", "height"),
]


def _row(pair: Pair) -> dict[str, Any]:
    return {**pair.row, "kept": not pair.why, "why": pair.why}


def _written(
    pairs: Iterable[Pair], folder: Path, per_shard: int, wanted: Wanted, funnel: Funnel
) -> list[dict[str, Any]]:
    rows = []
    with ShardWriter(folder, per_shard) as writer:
        for pair in pairs:
            rows.append(_row(pair))
            if pair.picture is not None:
                writer.add(pair.row["key"], sample_of(pair))
        left = Counter(row["why"] for row in rows if row["why"])
        if rows and not any(row["kept"] for row in rows):
            said = ", ".join(f"{many:,}: {why}" for why, many in left.most_common())
            raise Unsupported(
                f"none of {count(len(rows), 'picture')} of figures is kept, so that nothing is written; {said}"
            )
        if not rows and funnel.articles:
            raise Unsupported(f"{count(funnel.articles, 'article')} without a figure: nothing is written")
        concepts = {own: funnel.balance.filed[own] for own in wanted.concepts.listed} if wanted.concepts else {}
        writer.close({
            "licences": list(wanted.licences), "articles": funnel.articles, "left_out": dict(sorted(left.items())),
            "concepts": concepts,
        })  # fmt: skip
    return rows


def _wanted(
    licences: Sequence[str], concepts: Path | str | Sequence[str] | None, most: int | None, words: int
) -> Wanted:
    if isinstance(licences, str) or not licences:
        raise ValueError("licences is a list of names, as ['CC-BY', 'CC0'], or ['any']")
    if most is not None and (most < 1 or concepts is None):
        raise ValueError("most is a number of pairs a concept, one or more, and needs a list of concepts")
    if words < 0:
        raise ValueError(f"a caption of {words} words at least: take none or more")
    try:
        if concepts is None:
            known = None
        elif isinstance(concepts, str | os.PathLike):
            known = read_concepts(Path(concepts))
        else:
            known = concepts_of(list(concepts))
    except ReadError as fault:
        raise CohortError([error(fault.what, fault.fix, finding="unreadable")]) from None
    return Wanted(tuple(licences), known, most, words)


def _told_of(paths: Sequence[Path], told: Callable[[int, int], None]) -> Iterator[Found]:
    try:
        yield from articles_in(paths, told)
    except ReadError as fault:
        raise CohortError([error(fault.what, fault.fix, finding="unreadable")]) from None


def _problems(funnel: Funnel) -> list[Problem]:
    return [warning(fault.what, fault.fix, path=name, finding="unreadable") for _, name, fault in funnel.faults]


def _require_articles(funnel: Funnel) -> None:
    if not funnel.articles:
        raise CohortError(_problems(funnel) or [error("no article was read", "name articles in JATS XML")])


def _require_apart(given: Sequence[Path], shards: Path | None, folder: Path | None) -> None:
    """Refuse a folder to write that holds the articles, or is within the other one, or is it."""
    for place in filter(None, (shards, folder)):
        if any(own.resolve().is_relative_to(place.resolve()) for own in given):
            raise ValueError("the articles lie in the folder that would be written: choose another one")
    if shards is not None and folder is not None:
        one, other = shards.resolve(), folder.resolve()
        if one.is_relative_to(other) or other.is_relative_to(one):
            raise ValueError("shards and cohort are two folders, neither within the other: choose another one")


def _concept_table(concepts: Concepts | None, funnel: Funnel) -> pd.DataFrame | None:
    if concepts is None:
        return None
    balance = funnel.balance
    rows = [(own, balance.named[own], balance.filed[own]) for own in concepts.listed]
    return pd.DataFrame(rows, columns=["concept", "named", "kept"])
