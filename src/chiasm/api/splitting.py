"""Public functions that draw folds by what they are to prove: no relatives on both sides, or no whole combination."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.api.models import write_predictions
from chiasm.cohort import Cohort, Items, Unsupported
from chiasm.cohort.combination_folds import BETWEEN, combination_folds, held_out_fold
from chiasm.cohort.identity import Identical, identity_groups, require_identity
from chiasm.cohort.identity_proof import highest_apart
from chiasm.cohort.opened import Given, as_cohort
from chiasm.cohort.patient_columns import given_folds, identifier_name, patient_words
from chiasm.cohort.related_folds import related_folds, require_parts, table_of_folds
from chiasm.cohort.splits import lacking
from chiasm.cohort.unused import UNUSED
from chiasm.errors import count
from chiasm.progress import followed
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet

STRANDS = {"protein": False, "dna": True}
"""Kinds of modality whose identity is compared, and whether they may have another strand."""


@dataclass(frozen=True, repr=False)
class CohortSplit:
    """Folds of a cohort, and what proves them.

    Attributes:
        folds: one row a patient, by identifier: `fold`, where it is tested, `train` for never, `unused` for neither;
            of a split by identity also `family`.
        table: one row a fold, or of a split by combination a fold and factor.
        untested: combinations that have no fold, with `why`; empty of a split by identity.
        sentences: the proof in words; facts: the same for machines.
    """

    folds: pd.DataFrame
    table: pd.DataFrame
    untested: pd.DataFrame
    sentences: tuple[str, ...]
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"CohortSplit of {len(self.folds):,} patients: {' '.join(self.sentences)}"

    def save(self, path: Path | str) -> Path:
        """Write the folds as the table that `[folds]` of a manifest names, .csv or .parquet, whole or not at all.

        Raises:
            ValueError: another ending.
        """
        out = Path(path)
        if out.suffix not in (".csv", ".parquet"):
            raise ValueError(f"'{out}' must end in .csv or .parquet: folds are written as one of them")
        write_predictions(self.folds, out)
        return out


def split_by_identity(
    cohort: Given,
    threshold: float,
    *,
    modality: str | None = None,
    folds: int = 5,
    test: float | None = None,
    over: str = "shorter",
    both_strands: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CohortSplit:
    """Give a cohort folds between which no two sequences have an identity of `threshold` or more.

    Families are the connected components of all pairs at the threshold (`chiasm.identity_groups`), joined with the
    groups of the cohort, and are dealt whole, stratified by the outcome. A patient without a sequence is a family of
    their own. Then pairs of different folds, all or 20,000 drawn ones, are aligned one by one, without what made the
    families, and the highest identity is told.

    Args:
        cohort: a cohort, or the path of a manifest.
        threshold: identity above 0 and at most 1.
        modality: of kind protein or dna; may be left out where there is one.
        folds: number of folds, in each of which others are tested.
        test: share of the patients in one test set, in place of folds.
        over, both_strands: as in `chiasm.identity_groups`.
        seed: of the draw of folds and of the pairs.

    Raises:
        Unsupported: no modality of sequences, one that was encoded already, or edlib is not installed.
        CohortError: fewer families than folds, or a fold would lack a class or an event.
        ValueError: as `chiasm.identity_groups`; fewer than two folds.
    """
    require_identity(over, threshold)
    require_parts(folds, test)
    whole = _whole(cohort)
    name = _sequences_of(whole, modality, both_strands)
    rows, letters, unread = _read(whole, name)
    if len(rows) < 2:
        raise Unsupported(f"modality '{name}' has {count(len(rows), 'sequence')} that can be read: there is no pair")
    found = identity_groups(letters, threshold, over=over, both_strands=both_strands, progress=progress)
    families = np.full(len(whole), -1)
    families[rows] = found.groups
    fold, together = related_folds(whole, families, folds=folds, test=test, seed=seed)
    looked, everything, highest = highest_apart(letters, fold[rows], over=over, both_strands=both_strands, seed=seed)
    table = table_of_folds(fold, together)
    named = pd.DataFrame({"fold": fold, "family": together}, index=pd.Index(whole.ids, name=identifier_name(whole)))
    sentences = _identity_sentences(whole, name, found, table, (looked, everything, highest), len(rows), unread)
    facts = {
        "by": "identity", "modality": name, "threshold": threshold, "over": over, "both_strands": both_strands,
        "patients": len(whole), "sequences": len(rows), "unread": unread, "families": int(found.groups.max()) + 1,
        "pairs": found.pairs, "aligned": found.aligned, "linked": found.linked, "by_chance": found.by_chance,
        "pairs_apart": everything, "pairs_apart_aligned": looked, "highest_apart": highest,
        "folds_of_manifest": given_folds(whole),
    }  # fmt: skip
    return CohortSplit(named, table, pd.DataFrame(), sentences, facts)


def split_by_combination(
    cohort: Given,
    columns: Sequence[str],
    held_out: Sequence[str] | None = None,
    *,
    training: str = "all",
    size: int | None = None,
    seed: int = 0,
) -> CohortSplit:
    """Give a cohort folds in which a combination is tested that training never has, though it has each of its parts.

    Args:
        cohort: the path of a manifest, or a cohort that was opened from one.
        columns: two columns or more of the patients' table, whose words make the combinations.
        held_out: the value of each column, in their order: one combination is tested. None: each in a fold of its own,
            but for those of which a part stands nowhere else, or which could not be scored.
        training: with `held_out`, who is learned from: "all" others, or "related" or "unrelated" ones of equal number
            (`chiasm.compositional_split`); whoever is neither is `unused`.
        size: rows of related or unrelated training.
        seed: of their draw.

    Raises:
        Unsupported: a cohort of frames.
        CohortError: there is no such column.
        ValueError: as `chiasm.compositional_split`; a group in several combinations where each is to be a fold; no
            combination that can be tested.
    """
    whole = _whole(cohort)
    words = patient_words(whole, list(dict.fromkeys(columns)))
    known = np.ones(len(whole), dtype=bool) if whole.outcome is None else whole.outcome.known
    if held_out is None:
        if training != "all" or size is not None:
            raise ValueError("related and unrelated training sets are those of one combination: name it by held_out")
        fold, table, untested = combination_folds(
            words, columns, whole.group, lambda tested: _unscored(whole, tested), known
        )
    else:
        fold, table = held_out_fold(
            words, columns, held_out, group=whole.group, training=training, size=size, seed=seed, known=known
        )
        used = fold != UNUSED
        if why := _unscored(whole.subset(used), fold[used] == "test"):
            raise ValueError(
                f"{BETWEEN.join(map(str, held_out))} cannot be tested: {why}; hold out another combination"
            )
        untested = pd.DataFrame(columns=["combination", "rows", "why"])
    counts = pd.Series(fold).value_counts()
    table.insert(1, "patients", table["fold"].map(counts).to_numpy())
    named = pd.DataFrame({"fold": fold}, index=pd.Index(whole.ids, name=identifier_name(whole)))
    sentences = _combination_sentences(table, untested, counts, held_out, len(whole))
    facts = {
        "by": "combination", "columns": list(columns), "held_out": None if held_out is None else list(held_out),
        "training": training, "patients": len(whole), "folds": int(table["fold"].nunique()),
        "whole_in_training": int(table["whole"].sum()), "unused": int(counts.get("unused", 0)),
        "folds_of_manifest": given_folds(whole),
    }  # fmt: skip
    return CohortSplit(named, table, untested, sentences, facts)


def _whole(cohort: Given) -> Cohort:
    """Open a cohort, all of whose patients are to have a fold."""
    whole = as_cohort(cohort)
    if any(own.finding == "unused-patients" for own in whole.findings):
        raise Unsupported(
            "the folds of the manifest leave patients unused, who would get no fold: take out [folds] first"
        )
    return whole


def _unscored(cohort: Cohort, tested: NDArray[np.bool_]) -> str:
    """Say why a fold of these patients could not be scored, or nothing be learned outside of it; "" where both can."""
    if cohort.outcome is not None and not (tested & cohort.outcome.known).any():
        return "nobody of it has a known outcome"
    lacks = lacking(cohort, np.where(tested, "it", "train"), "it")
    return next(iter(lacks), "").replace("fold 'it'", "its fold")


def _sequences_of(cohort: Cohort, modality: str | None, both_strands: bool) -> str:
    able = [name for name in cohort.modalities if cohort.kinds[name] in STRANDS]
    if modality is not None:
        cohort.with_modalities([modality])
        if modality in cohort.encodings:
            raise Unsupported(f"modality '{modality}' was encoded already: give the cohort as it was opened")
        if modality not in able:
            raise Unsupported(
                f"modality '{modality}' is of kind '{cohort.kinds[modality]}': identity is compared of protein and dna"
            )
    elif len(able) != 1:
        what = f"the modalities {', '.join(able)} hold sequences" if able else "no modality holds sequences"
        fix = "name one, by modality (--modality)" if able else "identity is compared of kinds protein and dna"
        raise Unsupported(f"{what}: {fix}")
    name = modality or able[0]
    if both_strands and not STRANDS[cohort.kinds[name]]:
        raise Unsupported(f"modality '{name}' is of kind '{cohort.kinds[name]}': only DNA has two strands")
    return name


def _read(cohort: Cohort, modality: str) -> tuple[NDArray[np.int_], list[str], int]:
    """Read the sequences: rows of the cohort, letters, and how many could not be read."""
    items, rows, reader = cohort.raw(modality), cohort.rows_of(modality), reader_for(cohort.kinds[modality])
    assert isinstance(items, Items)  # not encoded, and a kind that a reader reads
    found: dict[int, str] = {}
    with followed("sequences read", None) as told:
        for number, row in enumerate(rows.tolist()):
            try:
                with quiet():
                    found[row] = str(reader.read(items[number]))
            except ReadError:
                pass  # counted, and listed by the check of the cohort
            told(number + 1, len(rows))
    return np.array(sorted(found), dtype=int), [found[row] for row in sorted(found)], len(rows) - len(found)


def _identity_sentences(
    cohort: Cohort, modality: str, found: Identical, table: pd.DataFrame, apart: tuple[int, int, float], read: int,
    unread: int,
) -> tuple[str, ...]:  # fmt: skip
    looked, everything, highest = apart
    told = [
        f"No two sequences of '{modality}' in different folds have an identity of {found.threshold:g} or more over the "
        f"{found.over} one: of {count(found.pairs, 'pair')} {found.aligned:,} were aligned, and the others are below "
        "it, "
        "as their common words prove, or of one family already."
    ]
    if everything:
        which = "all" if looked == everything else f"{looked:,} drawn"
        told.append(
            f"Aligned once more one by one, {which} of the {everything:,} pairs of different folds reach {highest:.3f} "
            "at most."
        )
    if unread:
        told.append(f"{count(unread, 'sequence')} could not be read: chiasm check lists them.")
    if len(cohort) > read:
        told.append(f"{count(len(cohort) - read, 'patient')} without a sequence: each is a family of their own.")
    share = float(table["largest"].max()) / len(cohort)
    if share > 1 / max(2, len(table)):
        told.append(f"One family has {share:.0%} of the patients, so that folds are of unequal size.")
    return tuple(told)


def _combination_sentences(
    table: pd.DataFrame, untested: pd.DataFrame, counts: pd.Series, held_out: Sequence[str] | None, patients: int
) -> tuple[str, ...]:
    least = table.loc[table["rows"].idxmin()]
    what = "the combination" if held_out is not None else "each combination"
    parts = (
        f"has each of its parts: {least['factor']} '{least['value']}' the least often, in "
        f"{count(int(least['rows']), 'row')} of {count(int(least['combinations']), 'other combination')}"
        if table["rows"].all()
        else "has none of its parts"
    )
    told = [f"Training never has {what} that is tested ({int(table['whole'].sum()):,} rows), and {parts}."]
    if held_out is not None:
        unused = int(counts.get("unused", 0))
        told.append(
            f"{BETWEEN.join(map(str, held_out))}: {counts['test']:,} of {patients:,} patients are tested, "
            f"{counts['train']:,} trained on, {unused:,} left unused."
        )
    elif len(untested):
        told.append(
            f"{count(len(untested), 'combination')} of {int(untested['rows'].sum()):,} patients "
            f"{'is' if len(untested) == 1 else 'are'} trained on and never tested."
        )
    return tuple(told)
