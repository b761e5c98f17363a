"""The catalogue of suites; each is imported when it is named. Packages bring theirs as entry points `chiasm.suites`."""

from __future__ import annotations

from collections.abc import Iterator

from chiasm.bench.suite import Suite
from chiasm.errors import nearest
from chiasm.specs import loaded, parts_brought

GROUP = "chiasm.suites"
PLACES = {
    "mediconfusion": "chiasm.bench.suites.mediconfusion:MEDICONFUSION",
    "medqa": "chiasm.bench.suites.medical_qa:MEDQA",
    "medmcqa": "chiasm.bench.suites.medical_qa:MEDMCQA",
    "mmlu-medicine": "chiasm.bench.suites.mmlu:MMLU_MEDICINE",
    "pubmedqa": "chiasm.bench.suites.pubmedqa:PUBMEDQA",
    "pubmedqa-conclusion": "chiasm.bench.suites.pubmedqa:PUBMEDQA_CONCLUSION",
    "slake": "chiasm.bench.suites.slake:SLAKE",
    "pathmmu": "chiasm.bench.suites.pathmmu:PATHMMU",
    "pathmmu-tiny": "chiasm.bench.suites.pathmmu:PATHMMU_TINY",
    "micro-bench": "chiasm.bench.suites.micro_bench:MICRO_BENCH",
    "hemm": "chiasm.bench.suites.hemm:HEMM",
    "multimed": "chiasm.bench.suites.generalists:MULTIMED",
    "multimedbench": "chiasm.bench.suites.generalists:MULTIMEDBENCH",
    "medmax": "chiasm.bench.suites.medmax:MEDMAX",
    "med-mat": "chiasm.bench.suites.generalists:MED_MAT",
    "olives": "chiasm.bench.suites.olives:OLIVES",
    "biotalk": "chiasm.bench.suites.biotalk:BIOTALK",
}
"""Name of a suite to its place."""
RESERVED = ("list", "compare", "score", "run", "skills", "forgetting", "table", "claims")


def suite_names() -> list[str]:
    """Names of all suites, those of other packages last."""
    brought = sorted({point.name for point in parts_brought(GROUP)} - set(PLACES) - set(RESERVED))
    return [*PLACES, *brought]


def suite_named(name: str) -> Suite:
    """Return the suite of this name.

    Raises:
        ValueError: there is none, with the nearest that there is; or what a package brings is no suite.
    """
    if name in PLACES:
        found: Suite = loaded(PLACES[name])
        return found
    for point in parts_brought(GROUP):
        if point.name == name:
            brought = point.load()
            if not isinstance(brought, Suite):
                raise ValueError(f"the entry point '{name}' of {GROUP} is no suite: see docs/bench.md")
            return brought
    like = nearest(name, suite_names())
    hint = f"did you mean '{like}'?" if like else "chiasm bench list shows them"
    raise ValueError(f"there is no suite '{name}': {hint}")


def suites() -> Iterator[Suite]:
    """All suites of the catalogue."""
    return map(suite_named, suite_names())
