"""What a run can be asked, and the answer to a question in plain words: from its own numbers, or none."""

from __future__ import annotations

from chiasm.evaluation.trial import Trial
from chiasm.language.asking.answer import Answer, not_answered
from chiasm.language.asking.topic import Topic, nearest_examples, topics_of
from chiasm.report.asked import of_cohort as cohort
from chiasm.report.asked import of_recipes as recipes
from chiasm.report.asked import of_verdict as verdict
from chiasm.report.asked.held import Held
from chiasm.report.asked.words import words_of_run

OF_RECIPE = "RECIPE MODALITY alone recipe modality"
TOPICS = (
    Topic("verdict", "What is the verdict?", ("verdict",), "combine worth modality", verdict.verdict),
    Topic(
        "verdict", "Did combining the modalities pay?", ("combine", "worth|verdict"),
        "modality MODALITY recipe both compare alone", verdict.verdict,
    ),
    Topic(
        "difference", "How much better is the combined recipe than the single one?", ("combine", "gain|compare"),
        "alone recipe modality both", verdict.difference,
    ),
    Topic(
        "combining", "What is the gain among patients with two modalities?", ("gain|combine|worth", "both", "patient"),
        "modality have", verdict.combining,
    ),
    Topic("coverage", "What does coverage add?", ("coverage",), "combine gain worth", verdict.coverage),
    Topic("settle", "How many patients would settle it?", ("settle", "patient"), "many verdict", verdict.settle),
    Topic("margin", "What is the smallest gain worth having?", ("margin",), "counts gain worth", verdict.margin),
    Topic("contrasts", "What do the named contrasts say?", ("contrast",), "many list score", verdict.contrasts),
    Topic("sealed", "What came of the sealed test set?", ("sealed",), "score test verdict", verdict.sealed),
    Topic("folds", "How many folds were used?", ("fold|repeat",), "many test inner repeat", verdict.folds),
    Topic("draws", "How many bootstrap draws are there?", ("draw",), "many interval", verdict.draws),
    Topic("seed", "What seed was used?", ("seed",), "", verdict.seed),
    Topic("sizes", "How large were the training sets?", ("train|test", "many"), "patient fold", verdict.sizes),
    Topic("versions", "Which versions was it run with?", ("version|PACKAGE",), "version", verdict.versions),
    Topic(
        "modalities", "Which modality helped most?", ("modality", "worth|best|worst|score"), "alone target gain",
        recipes.modalities,
    ),
    Topic("best", "Which recipe did best?", ("recipe", "best"), "score combine alone target", recipes.best),
    Topic("worst", "Which recipe came last?", ("recipe", "worst"), "score combine alone target", recipes.worst),
    Topic("score", "How well does late-fusion do?", ("RECIPE",), f"score METRIC interval {OF_RECIPE}", recipes.score),
    Topic("modalities", "Did one modality help?", ("MODALITY", "worth"), "alone modality", recipes.modalities),
    Topic(
        "score", "How well does one modality do alone?", ("MODALITY", "alone|score|METRIC"),
        "score METRIC interval alone recipe modality target", recipes.score,
    ),
    Topic(
        "compare", "Is early-fusion better than late-fusion?", ("RECIPE", "compare|gain|contrast"),
        "METRIC score recipe", recipes.compare,
    ),
    Topic("picked", "Which recipes were picked?", ("pick",), "recipe combine alone inner fold often best",
          recipes.picked),
    Topic(
        "presence", "Does it predict anything which modalities are present?", ("present", "knowing|score|target"),
        "modality knowing score target", recipes.presence,
    ),
    Topic("seconds", "How long did late-fusion take?", ("RECIPE", "long"), OF_RECIPE, recipes.seconds),
    Topic("slowest", "Which recipe was slowest?", ("recipe", "slow|fast"), "train", recipes.slowest),
    Topic(
        "parameters", "How many parameters does late-fusion train?", ("RECIPE", "parameter"), f"many train {OF_RECIPE}",
        recipes.parameters,
    ),
    Topic(
        "calibration", "Is late-fusion well calibrated?", ("RECIPE", "calibrated"), f"score {OF_RECIPE}",
        recipes.calibration,
    ),
    Topic("paper", "What paper does late-fusion come from?", ("RECIPE", "paper"), "recipe", recipes.paper),
    Topic("options", "What are the options of late-fusion?", ("RECIPE", "option"), OF_RECIPE, recipes.options),
    Topic(
        "spread", "How much does late-fusion vary between folds?", ("RECIPE", "vary"), f"score METRIC fold {OF_RECIPE}",
        recipes.spread,
    ),
    Topic("metric", "Which metric decides?", ("metric",), "decides recipe score", recipes.metric),
    Topic("recipes", "Which recipes were tried?", ("recipe", "list|many"), "", recipes.listed),
    Topic(
        "subgroups", "How well does it do in each subgroup?", ("SUBGROUP|subgroup",),
        "score METRIC RECIPE recipe subgroup patient", recipes.subgroup,
    ),
    Topic("patients", "How many patients are there?", ("many", "patient|cohort"), "", cohort.patients),
    Topic("excluded", "How many patients were left out?", ("excluded",), "many patient", cohort.excluded),
    Topic("having", "How many patients have one modality?", ("MODALITY", "many|have|lack", "patient"),
          "many have lack modality", cohort.having),
    Topic("several", "How many patients have two modalities?", ("many", "patient", "both"), "have modality",
          cohort.several),
    Topic("patterns", "Which patterns of modalities are there?", ("pattern",), "many patient have modality",
          cohort.patterns),
    Topic("modalities", "Which modalities are there?", ("modality",), "many list have", cohort.modalities),
    Topic("events", "How many patients had the event?", ("event",), "many patient have", cohort.events),
    Topic("classes", "How many patients are of each class?", ("class",), "many patient have target", cohort.classes),
    Topic("target", "What is predicted?", ("target",), "unit recipe", cohort.target),
    Topic("findings", "What problems did the check find?", ("leak|problem",), "many check modality patient",
          cohort.findings),
    Topic("column", "What is the median of a column?", ("COLUMN", "middle|many|class"), "patient have class",
          cohort.column),
    Topic("sites", "How many sites are there?", ("site", "many"), "patient", cohort.sites),
    Topic("groups", "How many groups are there?", ("group", "many"), "patient", cohort.groups),
)  # fmt: skip
SUGGESTED = 5
"""Questions that are named where one is not answered."""


def answer_of_run(trial: Trial, question: str) -> Answer:
    """Answer a question from the numbers of a trial, each with where it stands, or say that it is not answered."""
    known = words_of_run(trial)
    for topic, heard in topics_of(question, known, TOPICS):
        held = Held(trial)
        said = topic.tell(held, heard)
        if said is not None:
            return Answer(True, said, tuple(held.places), topic=topic.name)
    return not_answered("the run", nearest_examples(question, known, TOPICS, SUGGESTED))
