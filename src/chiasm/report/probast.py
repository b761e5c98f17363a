"""The four domains of PROBAST+AI: what a judgement can start from here, and what a reader must ask the authors.

The questions of each domain are given by their topic, in our own words. The tool asks sixteen of the development of a
model and eighteen of its evaluation; their wording is in the paper (Moons et al., BMJ 2025, e082505), and so is the
judgement, which is a reader's and not the run's.
"""

from __future__ import annotations

from chiasm.evaluation import Trial
from chiasm.report import checks
from chiasm.report.items import Item, benefit_of, groups_of
from chiasm.report.wording import count, listing

PARTICIPANTS, PREDICTORS, OUTCOME, ANALYSIS = "participants and data sources", "predictors", "outcome", "analysis"


def probast_items(trial: Trial) -> list[Item]:
    """List the topics that each domain asks about, of the development of the models and of their evaluation."""
    return [*participants(trial), *predictors(trial), *outcome(trial), *analysis(trial)]


def participants(trial: Trial) -> list[Item]:
    """Domain 1: where the patients come from, and who was left out."""
    cohort = trial.document["cohort"]
    return [
        Item("1", f"{PARTICIPANTS}: source", "", "the kind of data, and whether it suits the use that is meant"),
        Item(
            "1",
            f"{PARTICIPANTS}: who is in and who is out",
            f"{cohort['patients']:,} patients kept, {cohort['excluded']:,} left out for an unknown outcome or no "
            "modality (§cohort).",
            "the criteria by which patients came into the table",
        ),
        Item(
            "1",
            f"{PARTICIPANTS}: applicability",
            "",
            "whether these patients are those in whom the model would be used",
        ),
    ]


def predictors(trial: Trial) -> list[Item]:
    """Domain 2: what is read of each patient, and whether it is there when a prediction is made."""
    names = list(trial.document["cohort"]["modalities"])
    return [
        Item(
            "2",
            f"{PREDICTORS}: alike for all patients",
            f"{count(len(names), 'modality', 'modalities')}, {listing(names)}; who lacks which is counted "
            "(§cohort, §patterns).",
            "whether each was defined and measured in the same way everywhere",
        ),
        Item(
            "2",
            f"{PREDICTORS}: without knowledge of the outcome",
            "Columns and modalities that give the outcome away are looked for (§verdict).",
            "whether who measured them knew the outcome",
        ),
        Item(
            "2",
            f"{PREDICTORS}: available in time",
            "",
            "whether each is there at the moment at which the model is meant to be used",
        ),
        Item("2", f"{PREDICTORS}: applicability", "", "whether they are measured so where the model would be used"),
    ]


def outcome(trial: Trial) -> list[Item]:
    """Domain 3: what is predicted, and how it was determined."""
    columns = listing([str(name) for name in trial.document["cohort"]["target"]["columns"]])
    follow = "Follow-up and horizons are told (§cohort)." if trial.target.has_times else ""
    return [
        Item("3", f"{OUTCOME}: definition", f"Read from {columns} (§cohort).", "a standard definition, set beforehand"),
        Item(
            "3",
            f"{OUTCOME}: apart from the predictors",
            "Columns that repeat it are looked for (§verdict).",
            "whether a predictor enters its definition",
        ),
        Item("3", f"{OUTCOME}: alike for all patients, and blind", "", "who determined it, how, and knowing what"),
        Item(
            "3",
            f"{OUTCOME}: time between predictors and outcome",
            follow,
            "whether it is long enough, and the same for all",
        ),
        Item("3", f"{OUTCOME}: applicability", "", "whether it is the outcome that the use asks for"),
    ]


def analysis(trial: Trial) -> list[Item]:
    """Domain 4: size, missing data, selection, leakage, measures, and what was done about optimism."""
    cohort, protocol = trial.document["cohort"], trial.document["protocol"]
    target = cohort["target"]
    events = f" with {target['events']:,} events" if "events" in target else ""
    external = trial.document.get("external")
    beyond = "; of one cohort, so that it says nothing of another" if external is None else ", and then elsewhere"
    censored = "Censoring is part of the models' losses and of the measures. " if trial.target.has_times else ""
    units = (
        ""
        if cohort.get("units") is None
        else f"{cohort['units']:,} clusters are kept together and drawn as a whole (§checks)."
    )
    return [
        Item(
            "4",
            f"{ANALYSIS}: size",
            f"{cohort['patients']:,} patients{events}; a fold has {protocol['n_train']:,.0f} to train on and "
            f"{protocol['n_test']:,.0f} to test (§checks).",
            "how the size was arrived at",
        ),
        Item(
            "4",
            f"{ANALYSIS}: handling of predictors",
            "By each recipe, fitted in training sets (§recipes).",
            "cut points and transformations before",
        ),
        Item(
            "4",
            f"{ANALYSIS}: missing data",
            "A recipe that must fill in does so from training patients (§cohort).",
            "why data are missing",
        ),
        Item(
            "4",
            f"{ANALYSIS}: selection of predictors and settings",
            f"{checks.selection(trial)} (§checks)",
            "any selection before the cohort was made",
        ),
        Item("4", f"{ANALYSIS}: leakage between training and test", f"{checks.leakage(trial)} (§checks)"),
        Item(
            "4",
            f"{ANALYSIS}: censoring, clusters and other structure",
            f"{censored}{units}".strip(),
            "structure that the cohort does not tell, as repeated visits",
        ),
        Item(
            "4",
            f"{ANALYSIS}: class imbalance",
            "The trial resamples and reweights nothing; calibration is shown (§calibration).",
            "whether a recipe's options do",
        ),
        Item(
            "4",
            f"{ANALYSIS}: measures",
            "Discrimination (§recipes) and calibration (§calibration), each with its interval (§checks)"
            f"{benefit_of(trial)}.",
        ),
        Item(
            "4",
            f"{ANALYSIS}: optimism",
            f"Tested in {count(protocol['test_folds'], 'fold')}, none of which its models saw{beyond} (§checks).",
            "an evaluation on patients from elsewhere" if external is None else "",
        ),
        Item("4", f"{ANALYSIS}: fairness", groups_of(trial), "performance in groups that could be treated worse"),
    ]
