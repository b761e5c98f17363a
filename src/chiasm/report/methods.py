"""The methods of a paper in plain paragraphs, every figure from the run, with their references in BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from chiasm.citation import Citation, bibtex, citation_of, keys_of
from chiasm.evaluation import Trial
from chiasm.fitting.sides import COMBINED, REFERENCE, SINGLE, side_of
from chiasm.metrics.scores import METRICS, PRIMARY
from chiasm.report import checks
from chiasm.report.findings import findings_part
from chiasm.report.kinds import page_of
from chiasm.report.markdown import NEEDED, escaped
from chiasm.report.measures import labels_of
from chiasm.report.references import INTERVALS, MEASURES, REPORTING
from chiasm.report.repeat import repeat_part
from chiasm.report.wording import count, listing, metric_of, percent

OPEN = (
    "where and when the patients were recruited, by which criteria, and how they were treated",
    "how and when the outcome and each predictor was measured, and by whom",
    "how the number of patients was arrived at, and why values and modalities are missing",
    "ethical approval, consent, registration, funding, conflicts of interest",
)


@dataclass(frozen=True)
class Methods:
    """The text in Markdown, in which `[@key]` cites an entry of the bibliography, and the bibliography."""

    text: str
    bibliography: str


def write_methods(trial: Trial, path: Path) -> tuple[Path, Path]:
    """Write the methods of a trial and, beside them under the same name, their references as `.bib`.

    Returns:
        The two files; each is written whole or not at all, and replaces an older one.
    """
    made, references = methods_of(trial), path.with_suffix(".bib")
    write_text(references, made.bibliography)
    write_text(path, made.text)
    return path, references


def methods_of(trial: Trial) -> Methods:
    """Write the methods of a trial: patients, predictors, models, resampling, measures, verdict, software."""
    papers = {str(row["name"]): paper_of(row) for row in trial.document["recipes"] if side_of(row) != REFERENCE}
    cited = [*(paper for paper in papers.values() if paper), *measures_cited(trial), INTERVALS, *REPORTING]
    keys = keys_of(cited)
    parts = [
        ("Patients and outcome", patients(trial)),
        ("Predictors and missing data", predictors(trial)),
        ("Models", models(trial, papers, keys)),
        ("Resampling and selection", resampling(trial)),
        ("Measures and intervals", measures(trial, keys)),
        ("Whether combining modalities pays", verdict(trial)),
        ("Software and repetition", software(trial)),
        ("What the run cannot know", [f"{NEEDED}: {text}." for text in OPEN]),
    ]
    said = [
        f"The study is reported along TRIPOD+AI {cite(REPORTING[:1], keys)}; a judgement of its risk of bias can start "
        f"from PROBAST+AI {cite(REPORTING[1:], keys)}."
    ]
    body = "\n\n".join(f"## {title}\n\n" + "\n\n".join(own) for title, own in parts)
    name = escaped(trial.document["cohort"]["name"])
    text = f"# Methods: {name}\n\n{body}\n\n" + "\n\n".join(said) + "\n"
    return Methods(text, "\n".join(bibtex(own, key) for own, key in keys.items()))


def paper_of(row: Any) -> Citation | None:
    """Read the citation of a recipe from its row; None where it is no paper with a year."""
    return citation_of(str(row["paper"]), str(row.get("link", "")))


def cite(papers: Iterable[Citation], keys: dict[Citation, str]) -> str:
    """Cite papers in the way of pandoc: `[@one; @two]`."""
    return "[" + "; ".join(f"@{keys[own]}" for own in dict.fromkeys(papers)) + "]"


def patients(trial: Trial) -> list[str]:
    """Who was in the trial, on whose outcome, and how they came there."""
    cohort = trial.document["cohort"]
    flow = (trial.document.get("description") or {}).get("flow")
    if flow is None:
        came = f"{count(cohort['patients'], 'patient')}; {cohort['excluded']:,} were left out"
    else:
        came = (
            f"Of {count(flow['tables'], 'patient')} in the table, {flow['unknown_outcome']:,} were left out for an "
            f"unknown outcome and {flow['no_modality']:,} for having none of the modalities; {flow['used']:,} remained"
        )
    facts = "; ".join(f"{name.lower()}: {escaped(text)}" for name, text in page_of(trial).facts(trial))
    more = [
        f"{count(cohort[name], name.removesuffix('s'))}" for name in ("groups", "sites") if cohort[name] is not None
    ]
    stood = f" They belong to {listing(more)}." if more else ""
    sealed = ""
    if flow is not None and flow["sealed"]:
        sealed = f" {count(flow['sealed'], 'further patient')} had been sealed as a test set before and were not used."
    return [f"{came}.{stood}{sealed}", f"What was predicted ({facts}): {page_of(trial).outputs}."]


def predictors(trial: Trial) -> list[str]:
    """Which modalities there are, who lacks them, and what was done about it."""
    cohort = trial.document["cohort"]
    total = int(cohort["patients"])
    columns = {own["modality"]: own for own in (trial.document.get("description") or {}).get("inventory", ())}
    told = []
    for name, entry in cohort["modalities"].items():
        own = columns.get(name, {})
        wide = "" if own.get("columns") is None else f", {count(own['columns'], 'column')}"
        lacking = ""
        if own.get("missing"):
            lacking = f", in which {percent(own['missing'])} of the values of these patients are missing"
        encoder = f", encoded by {escaped(entry['encoder'])}" if "encoder" in entry else ""
        told.append(
            f"{escaped(name)} ({escaped(entry['kind'])}{wide}{encoder}; {entry['present']:,} patients, "
            f"{percent(entry['present'] / total)}{lacking})"
        )
    several = sum(n for pattern, n in cohort["patterns"].items() if "+" in pattern)
    occur = "occurs" if len(cohort["patterns"]) == 1 else "occur"
    return [
        f"The predictors are {count(len(told), 'modality', 'modalities')}: {listing(told)}. "
        f"{count(len(cohort['patterns']), 'pattern')} of present modalities {occur}; {several:,} patients have two "
        "modalities or more.",
        "A modality that a patient lacks is absent and left out of that patient's prediction; a recipe that cannot do "
        "without it fills it in by what it estimates from training patients. Values missing within a modality, and "
        "scaling, are handled in the same way.",
    ]


def models(trial: Trial, papers: dict[str, Citation | None], keys: dict[Citation, str]) -> list[str]:
    """Which recipes were compared, by side, each with its paper."""
    said = []
    rows = [row for row in trial.document["recipes"] if side_of(row) != REFERENCE]
    for side, what in ((SINGLE, "read one modality"), (COMBINED, "combine modalities"), (None, "decide nothing")):
        own = [row for row in rows if side_of(row) == side or (side is None and side_of(row) not in (SINGLE, COMBINED))]
        if not own:
            continue
        named = []
        for row in own:
            paper = papers[str(row["name"])]
            source = f" {cite([paper], keys)}" if paper else f" ({escaped(row['paper'])})"
            trained = int(row["trained_parameters"])
            size = f", {count(trained, 'trained parameter')} at most" if trained else ""
            named.append(f"'{escaped(row['name'])}'{source}{size}")
        said.append(f"{count(len(own), 'recipe')} {what if len(own) > 1 else singular(what)}: {'; '.join(named)}.")
    said.append(
        "Beside them stand 'presence', which knows which modalities a patient has and nothing of what they contain, "
        "'best-available', which takes for each patient the best model of one modality that the patient can have, and "
        "'null', what the training set says of everybody."
    )
    return said


def singular(what: str) -> str:
    """Put a verb phrase into the singular: `read one modality` to `reads one modality`."""
    verb, _, rest = what.partition(" ")
    return f"{verb}s {rest}"


def resampling(trial: Trial) -> list[str]:
    """How folds were made, what was kept together, and what was chosen on inner folds."""
    return [
        f"{checks.folds(trial)} {checks.leakage(trial)}",
        f"{checks.selection(trial)} Predictions: {checks.predictions(trial)}",
    ]


def measures_cited(trial: Trial) -> list[Citation]:
    """List the papers of the measures of a trial."""
    names = [metric.id for metric in METRICS[trial.kind]]
    return [paper for stem, paper in MEASURES.items() if any(name.startswith(stem) for name in names)]


def measures(trial: Trial, keys: dict[Citation, str]) -> list[str]:
    """Which measures are reported, the primary one first, and how intervals come about."""
    primary = metric_of(trial.kind, PRIMARY[trial.kind])
    rest = [label for label in labels_of(trial.kind) if label != primary.label]
    cited = measures_cited(trial)
    source = f" {cite(cited, keys)}" if cited else ""
    source_of_t = "" if trial.verdict is None else f" The t interval is that of {cite([INTERVALS], keys)}."
    return [
        f"The primary measure is {primary.label}; {listing(rest)} are reported beside it{source}. "
        f"{checks.weights(trial)}",
        f"Intervals: {checks.intervals(trial)}{source_of_t} {checks.few_events(trial)}",
    ]


def verdict(trial: Trial) -> list[str]:
    """The rule by which the verdict is reached, and what the check of the cohort found."""
    margin = float(trial.document["protocol"]["margin"])
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    found = findings_part(trial)
    leaks = [
        f"Found: {escaped(row.said)}" + (f" Accepted: {escaped(row.reason)}" if row.reason else "")
        for row in found.rows
    ]
    if trial.verdict is None:
        return ["Recipes of one side alone were tried, so that no verdict was asked for.", found.said, *leaks]
    return [
        "In each outer training set the single and the combined recipe with the best mean score on inner folds are "
        f"picked. Three differences in {label} are judged in the test folds: in all, the picked combined less the "
        "picked single recipe; coverage, the best available model of one modality less the picked single recipe; "
        "combining, the picked combined recipe less the best available model, among patients of two modalities or "
        f"more, each compared with those of the same modalities. A gain of {margin:g} or more is worth having. "
        "Combining pays where the lower ends of the difference in all, of combining and of the gain over presence lie "
        "above zero, and the pair picked most often, held fixed, agrees; it does not pay where the upper end of the "
        "difference in all lies below the margin, or those of combining and coverage both do; otherwise the data "
        "cannot tell, or more patients can be predicted. The rule is the program's, and none of it was chosen after "
        "the results.",
        found.said,
        *leaks,
    ]


def software(trial: Trial) -> list[str]:
    """Versions, seed, fingerprint, and the call that repeats the trial."""
    part = repeat_part(trial)
    versions = listing([f"{escaped(name)} {escaped(version)}" for name, version in part.versions])
    hashed = f" The fingerprint of cohort, recipes, protocol and seed is `{part.settings}`." if part.settings else ""
    protocol = trial.document["protocol"]
    return [
        f"The trial was run with {versions}, from seed {protocol['seed']}.{hashed} It is repeated by:",
        "```\n" + (part.command or part.call) + "\n```",
    ]
