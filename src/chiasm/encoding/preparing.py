"""Preparation of a cohort, once: check it, encode it as recipes or a model read it, keep what was found."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chiasm.cohort import Cohort, Problem, Unsupported
from chiasm.cohort.accepted import Finding, settle
from chiasm.encoders.choice import require_same
from chiasm.encoding.checking import require_sound
from chiasm.encoding.encode import Encoded, Execute, encode_cohort, one_after_another
from chiasm.encoding.mask_places import require_one_grid
from chiasm.encoding.prune import open_store
from chiasm.encoding.source_digests import Progress, unseen
from chiasm.errors import FindingWarning
from chiasm.protocols import Model, NamesEncodings, NamesModalities, ReadsOneGrid, modalities_of, reads_inputs
from chiasm.store.token_store import TokenStore


@dataclass(frozen=True)
class PreparedCohort:
    """A cohort that was checked and encoded; what takes one neither checks nor encodes it again.

    Args:
        cohort: the encoded cohort; a source that could not be read is absent.
        checked: what the check found, each with the reason for accepting it, if it is accepted.
        unread: the sources that could not be read, one problem for each kind of defect.
        refused: number of these sources.
    """

    cohort: Cohort
    checked: tuple[Finding, ...] = ()
    unread: tuple[Problem, ...] = ()
    refused: int = 0

    @property
    def findings(self) -> list[Finding]:
        """What the check found, and then what only the encoding did."""
        known = [finding.problem for finding in self.checked]
        return [*self.checked, *settle([own for own in self.unread if own not in known], self.cohort.accepted)]


def prepare(
    cohort: Cohort,
    *,
    model: Model | None = None,
    checked: Sequence[Problem] | None = None,
    tolerated: Sequence[str] = (),
    store: TokenStore | None = None,
    inputs: bool = False,
    jobs: int = 1,
    execute: Execute = one_after_another,
    progress: Progress = unseen,
) -> PreparedCohort:
    """Check a cohort, unless that is done, and encode it.

    Args:
        model: encode what this model uses as at its fit; None: encode every modality as the manifest says.
        checked: the problems that a check of this cohort found; None checks it here.
        tolerated: names of findings to ignore, even if they are errors elsewhere.
        store: the token store; None takes the default one.
        inputs: also store the network inputs of adaptable encoders; a model says itself whether it needs them.
        jobs, execute, progress: as for `encode_cohort`.

    Raises:
        CohortError: an error of the check, or none of a modality's sources can be read.
        Unsupported: an encoder or a package is missing, or the model was fitted with another.
    """
    findings = require_sound(cohort, checked, tolerated=tolerated)
    if model is None:
        kept = store or open_store()
        found = encode_cohort(cohort, store=kept, inputs=inputs, jobs=jobs, execute=execute, progress=progress)
    else:
        found = encode_for(model, cohort, store=store, jobs=jobs, execute=execute, progress=progress)
    refused = sum(count.refused for count in found.counts.values())
    return PreparedCohort(found.cohort, tuple(findings), found.problems, refused)


def encode_for(
    model: Model,
    cohort: Cohort,
    *,
    store: TokenStore | None = None,
    jobs: int = 1,
    execute: Execute = one_after_another,
    progress: Progress = unseen,
) -> Encoded:
    """Encode the modalities that a model uses as at its fit; the others, and what is encoded already, are unchanged.

    Args:
        store: the token store; None takes the default one.

    Raises:
        Unsupported: a modality is of another kind than at the fit, or its encoder or the encoder's weights differ.
        CohortError: the model reads the images of a patient on one grid, and some lie on several.
    """
    encodings = model.encodings if isinstance(model, NamesEncodings) else {}
    fitted = model.modalities if isinstance(model, NamesModalities) else {}
    for name, wanted in fitted.items() if isinstance(fitted, Mapping) else ():
        if name in cohort.modalities and name not in encodings:
            own = cohort.encodings.get(name)
            kind = own.kind if own else cohort.kinds[name]
            if kind != wanted:
                raise Unsupported(f"modality '{name}' was of kind '{wanted}' at fit and is of kind '{kind}' now")
    require_same(cohort, encodings)
    waiting = {
        name: own.encoder
        for name, own in encodings.items()
        if name in cohort.modalities and name not in cohort.encodings
    }
    bags = {
        name
        for name in modalities_of(model) & set(cohort.modalities)
        if cohort.kinds[name] == "bag" and name not in cohort.headers_read
    }
    if not waiting and not bags:
        return Encoded(cohort)
    if isinstance(model, ReadsOneGrid) and model.reads_one_grid:
        require_one_grid(cohort, list(waiting))
    found = encode_cohort(
        cohort.with_modalities(sorted({*waiting, *bags})), waiting, store=store or open_store(),
        inputs=reads_inputs(model), jobs=jobs, execute=execute, progress=progress,
    )  # fmt: skip
    return Encoded(cohort.merged(found.cohort), found.problems, found.counts)


def warn_of_findings(findings: Sequence[Finding], stacklevel: int = 2) -> None:
    """Warn of the number of findings and of those that may give the outcome away, once, where the caller was called."""
    if findings:
        leaks = [finding.words for finding in findings if finding.leak]
        told = f"; of them may give the outcome away: {'; '.join(leaks)}" if leaks else ""
        number = "1 finding" if len(findings) == 1 else f"{len(findings):,} findings"
        what = f"{number} of the check{told} (chiasm.check_cohort lists all)"
        warnings.warn(what, FindingWarning, stacklevel=stacklevel + 1)
