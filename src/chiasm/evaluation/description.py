"""Description of the patients of a trial: counts and sources; their flow, table one, what of each modality is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from chiasm.cohort import Cohort
from chiasm.cohort.characteristics import characteristics
from chiasm.cohort.inventory import flow_of, inventory
from chiasm.cohort.lending import events_of, shared_parts
from chiasm.cohort.units import alone_where_empty
from chiasm.fitting.source_model import SourceModel


def described(everyone: Cohort, used: Cohort) -> dict[str, Any]:
    """Describe the patients for `trial.json`, by aggregates alone.

    In table one and by site counts of one to four, and those from which one would follow, are None; the flow, and how
    many have a modality, are told as they are.

    Args:
        everyone: the cohort as it was given.
        used: the patients of known outcome who have a modality.
    """
    return {
        "flow": flow_of(everyone, used),
        "characteristics": characteristics(used),
        "inventory": inventory(used),
    }


def describe_cohort(cohort: Cohort, excluded: int) -> dict[str, Any]:
    """Describe the cohort by counts only: no identifier and no value of a patient."""
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None
    described: dict[str, Any] = {
        "kind": target.kind,
        "columns": list(target.columns),
        "unit": target.unit,
    }
    described |= target.described(outcome)
    patterns = Counter(cohort.pattern().tolist())
    return {
        "name": cohort.name,
        "patients": len(cohort),
        "excluded": excluded,
        "groups": None if cohort.group is None else len(set(cohort.group.tolist()) - {""}),
        "sites": None if cohort.site is None else len(set(cohort.site.tolist()) - {""}),
        "target": described,
        "modalities": {
            name: {**describe_modality(cohort, name), "present": int(cohort.present[:, m].sum())}
            for m, name in enumerate(cohort.modalities)
        },
        "patterns": dict(patterns.most_common()),
        **({} if cohort.sealed is None else {"sealed": asdict(cohort.sealed)}),
        **({"sources": sources, **_place(cohort.manifest)} if (sources := describe_sources(cohort)) else {}),
    }


def describe_sources(cohort: Cohort) -> list[dict[str, Any]]:
    """Describe every source of a cohort: source cohorts, then fitted models.

    Its `path` is the one by which it was named, from where the trial was started; `in_manifest`, where that names it.
    """
    models = [own for own in cohort.lent_models if isinstance(own, SourceModel)]
    told = [(describe_lender(cohort, own), own.manifest) for own in cohort.lenders]
    told += [(describe_model(cohort, own), own.path) for own in models]
    named = set(cohort.lender_paths)
    return [{**own, **({"in_manifest": True} if path in named else _place(path))} for own, path in told]


def _place(path: str) -> dict[str, str]:
    return {"path": path} if path else {}


def describe_model(cohort: Cohort, source: SourceModel) -> dict[str, Any]:
    """Describe a source model by its recipe, by counts, and by the columns that it shares."""
    learned = source.model.learned_from
    return {
        "name": source.name,
        "recipe": source.model.recipe,
        "patients": learned.get("patients"),
        "events": learned.get("events"),
        "columns": {name: len(columns) for name, columns in source.shared(cohort).items()},
    }


def describe_lender(cohort: Cohort, lender: Cohort) -> dict[str, Any]:
    """Describe a source cohort by counts: its patients of known outcome, and the columns that it shares."""
    assert lender.outcome is not None  # what is learned from has outcomes
    return {
        "name": lender.name,
        "patients": int(lender.outcome.known.sum()),
        "events": events_of(lender),
        "columns": {name: len(columns) for name, columns in shared_parts(cohort, lender).items()},
    }


def describe_modality(cohort: Cohort, name: str) -> dict[str, Any]:
    """Describe a modality: its kind and, where it was encoded, the encoder and the number of unreadable sources."""
    own = cohort.encodings.get(name)
    if own is None:
        return {"kind": cohort.kinds[name]}
    return {"kind": own.kind, "encoder": own.encoder, "identity": own.identity, "refused": own.refused}


def units_in(together: Cohort) -> int | None:
    """Count the clusters that the folds keep together; None where each patient is one."""
    return None if together.group is None else len(set(alone_where_empty(together.group).tolist()))
