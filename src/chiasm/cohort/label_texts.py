"""What experts wrote of each label: sentences, several a label, or the seven ranks of a species and its common name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.taxonomy import Lineage, contradictions
from chiasm.errors import CohortError, Problem, count, error, warning
from chiasm.limits import LABEL_TEXTS
from chiasm.targets import Target

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class LabelTexts:
    """Sentences of each label, and the lineage of each that is a species.

    Args:
        sentences: label to its sentences, each once, in the order of the table; labels sorted.
        lineages: label to its lineage; empty where labels are no species.
    """

    sentences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lineages: Mapping[str, Lineage] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """How many labels have sentences, how many sentences there are, and how many labels have a lineage."""
        sentences = sum(map(len, self.sentences.values()))
        return {"labels": len(self.sentences), "sentences": sentences, "lineages": len(self.lineages)}

    @property
    def digest(self) -> str:
        """SHA-256 of labels, sentences and lineages, in hexadecimal digits."""
        found = hashlib.sha256()
        parts = [(label, *own) for label, own in sorted(self.sentences.items())]
        parts += [(label, *own.ranks, own.common) for label, own in sorted(self.lineages.items())]
        for part in parts:
            for text in (*part, "\n"):
                raw = text.encode("utf-8", "surrogatepass")
                found.update(len(raw).to_bytes(8, "little") + raw)
        return found.hexdigest()


def sentences_of(
    labels: Texts, sentences: Texts, target: Target | None, path: str | None
) -> tuple[dict[str, tuple[str, ...]], list[Problem]]:
    """Return the sentences of each label of the target, with what is to be said of the table.

    Args:
        labels, sentences: `(n,)` each, a row of the table.
        target: whose names the labels are, with the classes that the patients have.
        path: the table, for the messages.

    Raises:
        CohortError: no row has both, there are more than the limit, the target has no labels, or none of its labels
            has a sentence.
    """
    if len(labels) > LABEL_TEXTS:
        what = f"there are {len(labels):,} prompts, over the limit of {LABEL_TEXTS:,}"
        raise CohortError([error(what, "keep those of this target's labels", path=path, finding="too-many-prompts")])
    whole = (labels != "") & (sentences != "")
    problems = _partly(whole, "prompt", "a label or a sentence", path)
    found: dict[str, list[str]] = {}
    for label, sentence in zip(labels[whole].tolist(), sentences[whole].tolist(), strict=True):
        if sentence not in found.setdefault(label, []):
            found[label].append(sentence)
    made = {label: tuple(found[label]) for label in sorted(found)}
    return made, [*problems, *_unmet(made, target, "prompt", path)]


def lineages_of(
    labels: Texts, columns: Mapping[str, Texts], target: Target | None, path: str | None
) -> tuple[dict[str, Lineage], list[Problem]]:
    """Return the lineage of each label of the target, with what is to be said of the table.

    Args:
        labels: `(n,)`, a row of the table each.
        columns: the seven ranks and `common`, `(n,)` each; a rank that is not known is empty.
        target, path: as for `sentences_of`.

    Raises:
        CohortError: a label stands twice, its species or genus is missing, or two rows contradict each other; or as
            for `sentences_of`.
    """
    if len(labels) > LABEL_TEXTS:
        what = f"there are {len(labels):,} lineages, over the limit of {LABEL_TEXTS:,}"
        raise CohortError([error(what, "keep those of this target's labels", path=path, finding="too-many-prompts")])
    whole = np.asarray(labels != "")
    problems = _partly(whole, "lineage", "a label", path)
    rows = np.flatnonzero(whole)
    ranks = [name for name in columns if name != "common"]
    made = [Lineage(tuple(str(columns[name][row]) for name in ranks), str(columns["common"][row])) for row in rows]
    if wrong := contradictions([str(labels[row]) for row in rows], made, (rows + 2).tolist(), path):
        raise CohortError(wrong)
    found = {str(labels[row]): own for row, own in zip(rows, made, strict=True)}
    found = dict(sorted(found.items()))
    return found, [*problems, *_unmet(found, target, "lineage", path)]


def _partly(whole: NDArray[np.bool_], noun: str, of: str, path: str | None) -> list[Problem]:
    """Warn of rows that lack a cell."""
    rows = np.flatnonzero(~whole) + 2
    if not len(rows):
        return []
    what = f"{count(len(rows), noun)} without {of}"
    left = "it is left out" if len(rows) == 1 else "they are left out"
    return [warning(what, left, path=path, row=int(rows[0]), finding="partial-prompts")]


def _unmet(found: Mapping[str, object], target: Target | None, noun: str, path: str | None) -> list[Problem]:
    """Warn of labels without a text and of texts for labels that nobody has; raise where nothing meets."""
    if not found:
        what, fix = f"there is no whole {noun}", "a row is a label and what is known of it"
        raise CohortError([error(what, fix, path=path, finding="no-prompts")])
    if target is None:  # new patients, of whom no label is known
        return []
    if not (target.has_classes or target.has_labels):
        what = f"a target of kind '{target.kind}' has no labels that a {noun} could describe"
        fix = "take classification or multilabel, or leave the table out"
        raise CohortError([error(what, fix, path=path, finding="prompts-of-nobody")])
    lacking = [name for name in target.names if name not in found]
    strange = [name for name in found if name not in target.names]
    if len(lacking) == len(target.names):
        alike = {_plainly(name) for name in target.names} & {_plainly(name) for name in found}
        fix = "write both alike" + (": some differ by upper and lower case or blanks alone" if alike else "")
        what = f"no label of the target has a {noun}"
        raise CohortError([error(what, fix, path=path, finding="prompts-of-nobody")])
    problems = []
    if lacking:
        what = f"{len(lacking)} of the {len(target.names)} labels of the target have no {noun}"
        fix = "add them: a recipe that reads what is written of labels refuses the cohort"
        problems.append(warning(what, fix, path=path, finding="labels-without-prompt"))
    if strange:
        is_of = "is a label" if len(strange) == 1 else "are labels"
        what = f"{count(len(strange), 'label')} of the table {is_of} that no patient has"
        fix = "they teach nothing, and can be asked for later; write labels as the patients' table does"
        problems.append(warning(what, fix, path=path, finding="prompts-for-nobody"))
    return problems


def _plainly(name: str) -> str:
    """A name without blanks, in lower case."""
    return "".join(name.casefold().split())


def given_sentences(given: Mapping[str, str | Sequence[str]]) -> tuple[Texts, Texts]:
    """Return the columns of a table of prompts that was given as a mapping, label to one sentence or several."""
    pairs = [(label, text) for label, own in given.items() for text in ([own] if isinstance(own, str) else own)]
    return np.array([own[0] for own in pairs], dtype=str), np.array([own[1] for own in pairs], dtype=str)
