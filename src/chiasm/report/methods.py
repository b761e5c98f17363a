"""The methods of a paper in plain paragraphs, every figure from the run, with their references in BibTeX."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chiasm.citation import Citation, bibtex, citation_of, keys_of
from chiasm.evaluation import Trial
from chiasm.evaluation.opening import told_openings
from chiasm.fitting.sides import COMBINED, SINGLE, side_of
from chiasm.metrics.scores import METRICS, PRIMARY
from chiasm.report import checks
from chiasm.report.cohort import source_facts, tested_told
from chiasm.report.contrasts import in_fifths
from chiasm.report.findings import findings_part
from chiasm.report.horizons import truncation_told
from chiasm.report.kinds import page_of
from chiasm.report.markdown import NEEDED, escaped
from chiasm.report.measures import is_reference, labels_of
from chiasm.report.recipes import references_told
from chiasm.report.references import FURTHER, INTERVALS, MEASURES, REPORTING
from chiasm.report.repeat import repeat_part
from chiasm.report.tuning import searches_told
from chiasm.report.wording import count, listing, metric_of, percent

OPEN = (
    "where and when the patients were recruited, by which criteria, and how they were treated",
    "how and when the outcome and each predictor was measured, and by whom",
    "how the number of patients was arrived at, and why values and modalities are missing",
    "ethical approval, consent, registration, funding, conflicts of interest",
)
"""What the authors must add."""
USES = {
    "decisions": "Net benefit is told at thresholds of the predicted probability, beside treating everybody and nobody",
    "d_calibration": "Whether events fall evenly over the tenths of predicted survival is tested by D-calibration",
}
"""What is told beside the measures, by its key of a trial's document."""


@dataclass(frozen=True)
class Methods:
    """The text in Markdown, in which `[@key]` cites an entry of the bibliography, and the bibliography."""

    text: str
    bibliography: str


def methods_of(trial: Trial) -> Methods:
    """Write the methods of a trial: patients, predictors, models, resampling, measures, verdict, software."""
    papers = {str(row["name"]): paper_of(row) for row in trial.document["recipes"] if not is_reference(row)}
    interval = [INTERVALS] if by_t(trial) else []
    beside = [*measures_cited(trial), *(FURTHER[key] for key in further(trial)), *interval, *REPORTING]
    cited = [*(paper for paper in papers.values() if paper), *beside]
    keys = keys_of(cited)
    parts = [
        ("Patients and outcome", patients(trial)),
        ("Predictors and missing data", predictors(trial)),
        ("Models", models(trial, papers, keys)),
        ("Resampling and selection", resampling(trial)),
        ("Measures and intervals", measures(trial, keys)),
        ("Whether combining modalities pays", verdict(trial)),
        *([("Beyond the trial", own)] if (own := beyond(trial)) else []),
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
        apart = ", without those under a seal" if flow["sealed"] else ""
        came = (
            f"Of {count(flow['tables'], 'patient')} in the table{apart}, {flow['unknown_outcome']:,} were left out "
            f"for an unknown outcome and {flow['no_modality']:,} for having none of the modalities; "
            f"{flow['used']:,} remained"
        )
    facts = "; ".join(f"{name.lower()}: {escaped(text)}" for name, text in page_of(trial).facts(trial))
    more = [
        f"{count(cohort[name], name.removesuffix('s'))}" for name in ("groups", "sites") if cohort[name] is not None
    ]
    stood = f" They belong to {listing(more)}." if more else ""
    if tested := tested_told(trial):
        stood = f" Tested: {tested}.{stood}"
    sealed = ""
    if flow is not None and flow["sealed"]:
        opened = trial.document.get("sealed") is not None
        used = "were scored when the seal was opened" if opened else "were not used"
        sealed = f" {count(flow['sealed'], 'further patient')} had been sealed as a test set before and {used}."
        sealed = f"{sealed} {told_openings(trial.document)}".rstrip()
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
        "without it fills it in by what it estimates from training patients. What stands for values missing within a "
        "modality, and what scales them, is estimated from training patients too.",
    ]


def models(trial: Trial, papers: dict[str, Citation | None], keys: dict[Citation, str]) -> list[str]:
    """Which recipes were compared, by side, each with its paper."""
    said = []
    rows = [row for row in trial.document["recipes"] if not is_reference(row)]
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
    if beside := references_told(trial):
        said.append(f"For comparison there {'is' if len(beside) == 1 else 'are'} {'; '.join(beside)}.")
    if sources := trial.document["cohort"].get("sources", ()):
        told = "; ".join(escaped(source_facts(entry)) for entry in sources)
        said.append(f"Recipes that borrow learned from sources beside the cohort too: {told}.")
    return said


def singular(what: str) -> str:
    """Put a verb phrase into the singular: `read one modality` to `reads one modality`."""
    verb, _, rest = what.partition(" ")
    return f"{verb}s {rest}"


def resampling(trial: Trial) -> list[str]:
    """How folds were made, what was kept together, which options were searched, and what was chosen on inner folds."""
    return [
        f"{checks.folds(trial)} {checks.leakage(trial)}",
        *map(escaped, searches_told(trial)),
        f"{checks.selection(trial)} Predictions: {checks.predictions(trial)}",
    ]


def measures_cited(trial: Trial) -> list[Citation]:
    """List the papers of the measures of a trial."""
    names = [metric.id for metric in METRICS[trial.kind]]
    return [paper for stem, paper in MEASURES.items() if any(name.startswith(stem) for name in names)]


def further(trial: Trial) -> list[str]:
    """List what a trial tells beside its measures, by its keys."""
    return [key for key in FURTHER if trial.document.get(key)]


def measures(trial: Trial, keys: dict[Citation, str]) -> list[str]:
    """Which measures are reported, the primary one first, and how intervals come about."""
    primary = metric_of(trial.kind, PRIMARY[trial.kind])
    rest = [label for label in labels_of(trial.kind) if label != primary.label]
    cited = measures_cited(trial)
    source = f" {cite(cited, keys)}" if cited else ""
    source_of_t = f" The t interval is that of {cite([INTERVALS], keys)}." if by_t(trial) else ""
    until = f" {escaped(truncation_told(trial))}" if trial.target.has_times else ""
    more = "".join(f" {USES[key]} {cite([FURTHER[key]], keys)}." for key in further(trial))
    return [
        f"The primary measure is {primary.label}; {listing(rest)} are reported beside it{source}. "
        f"{checks.weights(trial)}{until}{more}",
        f"Intervals: {checks.intervals(trial)}{source_of_t} {checks.few_events(trial)}",
    ]


def by_t(trial: Trial) -> bool:
    """Whether an interval of the verdict may be the corrected resampled t interval, for which it takes two folds."""
    return trial.verdict is not None and int(trial.document["protocol"]["test_folds"]) > 1


def verdict(trial: Trial) -> list[str]:
    """The rule by which the verdict is reached, and what the check of the cohort found."""
    margin = float(trial.document["protocol"]["margin"])
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    found = findings_part(trial)
    leaks = [
        f"Found: {escaped(row.said)}" + (f" Accepted: {escaped(row.reason)}" if row.reason else "")
        for row in found.rows
    ]
    pairs = trial.document.get("contrasts") or []
    named = [f"Beside the verdict {count(len(pairs), 'declared contrast')} of recipes was asked for."] if pairs else []
    alike = ""
    if trial.verdict is not None:
        alike = "those of similar presence" if in_fifths(trial) else "those of the same modalities"
    if trial.verdict is None:
        return ["Recipes of one side alone were tried, so that no verdict was asked for.", found.said, *leaks]
    return [
        "The rule is the program's; its margin, and any contrasts named, are settings of the run, and whether they "
        "were set before the results were seen the run cannot know. In each outer training set the single and the "
        "combined recipe with the best mean score on inner folds are taken, where a side has more than one. Three "
        f"differences in {label} are judged in the test folds: in all, the picked combined less the "
        "picked single recipe; coverage, the best available model of one modality less the picked single recipe; "
        "combining, the picked combined recipe less the best available model, among patients of two modalities or "
        f"more, each compared with {alike}. A gain of {margin:g} or more is worth having. "
        "Combining pays where the lower ends of the difference in all, of combining and of the gain over presence lie "
        "above zero, and the pair picked most often, held fixed, agrees; it does not pay where the upper end of the "
        "difference in all lies below the margin, or those of combining and coverage both do; otherwise the data "
        "cannot tell, or more patients can be predicted. The data cannot tell either where a finding of a leak was not "
        "accepted or there are too few patients or events; where two recipes rank all patients alike there is no "
        "difference to give an interval of.",
        *named,
        found.said,
        *leaks,
    ]


def beyond(trial: Trial) -> list[str]:
    """Validation on another cohort, and the subgroups that were looked at."""
    said = []
    if (found := trial.document.get("external")) is not None:
        said.append(
            "External validation: the picks of the trial, each fitted on all of its patients, were scored on "
            f"{count(found['patients'], 'patient')} of '{escaped(found['cohort']['name'])}'; the verdict does not "
            "change by it."
        )
    if trial.document.get("subgroups") is not None:
        said.append("Performance was looked at in the subgroups that the cohort declares, which decide nothing.")
    if trial.document.get("sites"):
        said.append("Performance was looked at site by site.")
    return said


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
