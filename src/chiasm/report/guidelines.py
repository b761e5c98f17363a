"""Checklist of TRIPOD+AI, beside the domains of PROBAST+AI: what this page answers, and what only the authors can.

Items are named by number and topic; their full wording is in the paper (Collins et al., BMJ 2024, e078378). What the
trial does not know is marked NEEDS INPUT.
"""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.report.items import Item, benefit_of, groups_of
from chiasm.report.kinds import page_of
from chiasm.report.measures import labels_of
from chiasm.report.probast import probast_items
from chiasm.report.wording import count, listing

MISSING_DATA = (
    "Patients with any modality are kept; who lacks which stands in §cohort and §patterns. A recipe that "
    "must fill in does so from training patients."
)
MODEL = "Recipes and trained parameters (§recipes); chiasm.fit makes the model."


@dataclass(frozen=True)
class GuidelinesPart:
    """Items of both guidelines."""

    tripod: list[Item]
    probast: list[Item]


def guidelines_part(trial: Trial) -> GuidelinesPart:
    """List what this page answers of TRIPOD+AI and of PROBAST+AI, and what is left to the authors."""
    return GuidelinesPart(tripod_items(trial), probast_items(trial))


def tripod_items(trial: Trial) -> list[Item]:
    """List the 27 items of TRIPOD+AI, with their parts."""
    cohort, protocol = trial.document["cohort"], trial.document["protocol"]
    target = cohort["target"]
    metrics = listing(labels_of(trial.kind))
    events = f", {target['events']:,} events" if "events" in target else ""
    names = listing([str(column) for column in target["columns"]])
    size = f"{cohort['patients']:,} patients{events}"
    outputs = page_of(trial).outputs
    sites = "" if cohort["sites"] is None else count(cohort["sites"], "site") + "."
    by_site = protocol["by"] == "site"
    other = trial.document.get("external")
    aim = "internal" if other is None else "internal and external"
    groups = groups_of(trial)
    performed = f"With intervals (§recipes), by pattern of modalities (§patterns). {groups}".strip()
    elsewhere = "" if other is None else f" Then {count(other['patients'], 'patient')} of another cohort (§external)."
    clusters = "Site by site (§sites)." if trial.document.get("sites") else ""
    sources = bool(cohort.get("sources"))
    updating = "Models or cohorts of elsewhere were borrowed from (§cohort)." if sources else ""
    update_open = "how they were, and whether a model was updated or recalibrated" if sources else ""
    described = trial.document.get("description") is not None
    compared = "" if other is None else "how the patients of both cohorts differ"
    none = "" if sources else "None by the trial."
    tuned = "" if trial.tuning().empty else "search of their options (§tuning), "
    return [
        Item("1", "title", "", "that a prediction model is developed and evaluated, of which outcome, in whom"),
        Item("2", "abstract", "", "the abstract, along the list of the paper for abstracts"),
        Item("3a", "background: clinical context", "", "diagnostic or prognostic setting, existing models"),
        Item("3b", "background: intended use", "", "target population, place in care, users"),
        Item("3c", "background: inequalities", "", "known health inequalities"),
        Item(
            "4",
            "objectives",
            f"Development and {aim} evaluation; does combining modalities pay (§verdict).",
            "aim of the study",
        ),
        Item("5a", "data: sources", "", "kind of data, why these, representativeness"),
        Item("5b", "data: dates", "", "accrual and end of follow-up"),
        Item("6a", "participants: setting", sites, "kind of care, location of centres"),
        Item(
            "6b",
            "participants: eligibility",
            f"Left out for an unknown outcome or no modality: {cohort['excluded']:,}.",
            "criteria",
        ),
        Item("6c", "participants: treatments", "", "treatments and how they were handled"),
        Item(
            "7",
            "data preparation",
            "Scaling and the like are fitted inside each training set (§checks).",
            "what was done before",
        ),
        Item(
            "8a", "outcome: definition", f"Read from {names} (§cohort).", "how and when assessed, and why this outcome"
        ),
        Item("8b", "outcome: assessors", "", "who judged it, if it is a judgement"),
        Item("8c", "outcome: blinding", "", "whether blinded"),
        Item(
            "9a",
            "predictors: choice",
            f"Modalities: {listing(list(cohort['modalities']))}.",
            "why these, and any selection before",
        ),
        Item("9b", "predictors: definition", "", "what each is, how and when measured"),
        Item("9c", "predictors: assessors", "", "who judged them, if they are judgements"),
        Item(
            "10",
            "sample size",
            f"{size} (§cohort); the verdict says when they are too few.",
            "how the size was arrived at",
        ),
        Item("11", "missing data", MISSING_DATA, "why data are missing"),
        Item(
            "12a",
            "analysis: use of the data",
            f"{count(protocol['test_folds'], 'test fold')}, inner folds for selection (§checks).",
        ),
        Item(
            "12b",
            "analysis: handling of predictors",
            "By the recipe, fitted in training sets.",
            "units and transformations before",
        ),
        Item(
            "12c",
            "analysis: models",
            f"Recipes and their papers (§recipes), {tuned}inner selection, internal validation (§checks).",
        ),
        Item(
            "12d",
            "analysis: clusters",
            f"{'Whole sites were held out. ' if by_site else ''}{clusters}".strip(),
            "how differences between centres were quantified",
        ),
        Item("12e", "analysis: measures", f"{metrics} (§recipes, §calibration){benefit_of(trial)}."),
        Item("12f", "analysis: updating", updating or none, update_open),
        Item("12g", "analysis: predictions", "By the fitted models, out of fold."),
        Item("13", "class imbalance", "The trial resamples and reweights nothing.", "whether a recipe's options do"),
        Item("14", "fairness", groups, "approaches to fairness"),
        Item("15", "model output", f"Of each model, {outputs}.", "thresholds of classes or decisions, and why these"),
        Item("16", "training versus evaluation", f"Parts of one cohort, split by folds (§checks).{elsewhere}"),
        Item("17", "ethical approval", "", "committee, consent or waiver"),
        Item("18a", "funding", "", "source and role"),
        Item("18b", "conflicts of interest", "", "of all authors"),
        Item("18c", "protocol", "The settings of the trial (§repeat).", "where the study protocol is"),
        Item("18d", "registration", "", "register and number, or none"),
        Item("18e", "data sharing", "", "where the data are"),
        Item("18f", "code sharing", "How to repeat the trial (§repeat).", "where the code of the study is"),
        Item("19", "patient and public involvement", "", "involvement, or none"),
        Item(
            "20a",
            "participants: flow",
            "From the table into the folds, with a picture (§cohort)." if described else "Who was left out (§cohort).",
            "flow before the cohort was made",
        ),
        Item(
            "20b",
            "participants: characteristics",
            "By outcome, with the values missing (§cohort)." if described else "Outcome and modalities (§cohort).",
            "demographics, treatments, dates",
        ),
        Item(
            "20c",
            "participants: comparison",
            f"Those of training and test are of one cohort.{elsewhere}",
            compared,
        ),
        Item(
            "21",
            "model development",
            f"{size}; {protocol['n_train']:,.0f} to train and {protocol['n_test']:,.0f} to test a fold (§checks).",
        ),
        Item("22", "model specification", MODEL, "where the model is, and who may use it"),
        Item(
            "23a",
            "performance",
            performed,
            "" if groups else "key subgroups",
        ),
        Item("23b", "performance: clusters", clusters, "" if clusters else "differences between centres, if examined"),
        Item("24", "model updating", updating or none, update_open),
        Item("25", "interpretation", "The verdict (§verdict).", "in the light of other studies, and of fairness"),
        Item("26", "limitations", "Of the analysis (§checks).", "of the data and the setting"),
        Item(
            "27a", "use: poor or missing input", "An absent modality is left out (§patterns).", "poor quality of input"
        ),
        Item("27b", "use: interaction and expertise", "", "who handles input and output"),
        Item("27c", "use: next steps", "", "further research, generalisability"),
    ]
