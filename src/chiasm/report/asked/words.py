"""Words in which a run can be asked: concepts, and the names of its own recipes, modalities, metrics and columns."""

from __future__ import annotations

from collections.abc import Iterator

from chiasm.evaluation.trial import Trial
from chiasm.language.asking.hearing import Vocabulary, vocabulary
from chiasm.metrics.table import METRICS

CONCEPTS = {
    "combine": "combine, combined, combining, combination, fuse, fused, fusing, fusion, multimodal, together, adding, "
    "add, added, adds, joint, jointly",
    "worth": "worth, pay, pays, paid, pay off, paid off, pays off, help, helps, helped, helpful, benefit, useful, "
    "contribute, contributes, contributed, matter, matters, mattered, worthwhile, improve, improves, improved",
    "verdict": "verdict, conclusion, bottom line, main result, concluded",
    "modality": "modality, modalities, data type, data source, source, kind of data, type of data",
    "recipe": "recipe, model, method, algorithm, approach, candidate",
    "best": "best, top, winner, winning, won, wins, highest, strongest, came first, most accurate, most",
    "worst": "worst, last, came last, lowest, poorest, weakest, least accurate, least",
    "compare": "better, beat, beats, against, versus, vs, compared, compare, outperform, outperforms, worse",
    "score": "score, scored, perform, performs, performed, performance, accurate, good, result, how well, "
    "how good, discriminate, discrimination",
    "metric": "metric, measure, primary metric, main metric",
    "decides": "decide, decides, decided, primary, main, ranked by, judged by",
    "many": "how many, number, how large, how big, size, count, total",
    "patient": "patient, people, person, participant, subject, individual, sample, them",
    "cohort": "the cohort, this cohort, our cohort, cohort size",
    "event": "event",
    "have": "have, has, measured, available, with data",
    "lack": "missing, lack, lacks, lacked, absent, without, incomplete",
    "pattern": "pattern, combinations of modalities, subset",
    "target": "predicted, predict, predicts, target, outcome, endpoint, predicting",
    "fold": "fold, split, cross validation, test fold",
    "repeat": "repeat, repeated",
    "inner": "inner",
    "draw": "draw, bootstrap draw, bootstrap, resample, bootstrap sample",
    "interval": "interval, confidence interval, 95 interval, 95 confidence interval, 95 ci, ci, uncertainty, certain, "
    "uncertain",
    "seed": "seed, random seed",
    "margin": "margin, smallest gain",
    "counts": "counts, counted, worth having",
    "settle": "settle, settles, enough, required, be needed, needed, need, necessary",
    "gain": "gain, difference, how much better, advantage, improvement",
    "pick": "pick, picked, chosen, selected, choose",
    "often": "how often, often, how many times",
    "present": "present, presence",
    "knowing": "know, knowing, only",
    "nothing": "null, prior, chance, baseline, no model, guessing",
    "leak": "leak, leakage, leaked",
    "problem": "problem, finding, warning, error, issue, wrong",
    "check": "check, checks, find, found, accepted",
    "long": "how long, time, second, duration, take, took, runtime",
    "slow": "slow, slowest, longest",
    "fast": "fast, fastest, quickest, quick, shortest",
    "parameter": "parameter, trained parameter, weight",
    "version": "version, package, library, software",
    "calibrated": "calibrated, calibration",
    "alone": "alone, single, on its own, unimodal, by itself, one, one modality",
    "both": "both, several, two, two or more, more than one",
    "coverage": "coverage",
    "train": "train, trained, trains, training, training set, learned, learn",
    "test": "test, tested, test set",
    "middle": "median, quartile, typical, distribution",
    "mean": "mean, average, range, minimum, maximum, standard deviation",
    "paper": "paper, reference, publication, published, cite, citation, come, comes",
    "vary": "vary, varied, varies, stable, spread, variation, between folds, across folds",
    "excluded": "excluded, left out, dropped, removed",
    "group": "group, grouped",
    "site": "site, hospital, centre, center",
    "subgroup": "subgroup",
    "contrast": "contrast, named contrast",
    "sealed": "sealed, seal, sealed test set, held out",
    "option": "option, setting, hyperparameter, hyper parameter",
    "unit": "unit",
    "class": "class, classes, level, category",
    "list": "list, tried, compared recipes",
}
SAID = {
    "auroc": "auroc, auc, roc auc, area under the curve, area under the roc curve",
    "average_precision": "average precision, auprc, area under the precision recall curve",
    "harrell_c": "harrell c, concordance, concordance index, c index, harrell",
    "uno_c": "uno c, uno",
    "integrated_brier": "integrated brier score, integrated brier, ibs",
    "brier": "brier, brier score",
    "r2": "r2, r squared, variance explained",
    "accuracy": "accuracy",
    "log_loss": "log loss",
}
"""Other ways to say a metric that a run has."""


def words_of_run(trial: Trial) -> Vocabulary:
    """Make the vocabulary in which a run can be asked."""
    document = trial.document
    recipes = [str(row["name"]) for row in document["recipes"]]
    columns = (document.get("description") or {}).get("characteristics", {}).get("columns", ())
    names = {
        "RECIPE": [*recipes, *((name.replace(":", " ").replace("=", " "), name) for name in recipes)],
        "MODALITY": list(document["cohort"]["modalities"]),
        "METRIC": list(_metrics(trial)),
        "PACKAGE": list(document.get("versions") or ()),
        "COLUMN": [str(row["column"]) for row in columns],
        "SUBGROUP": [str(row["column"]) for row in (document.get("subgroups") or {}).get("columns", ())],
    }
    return vocabulary(CONCEPTS, {kind: own for kind, own in names.items() if own})


def _metrics(trial: Trial) -> Iterator[tuple[str, str]]:
    held = {name for row in trial.document["recipes"] for name in row["metrics"]}
    for metric in METRICS[trial.kind]:
        if metric.id in held:
            yield metric.label, metric.id
            yield metric.id, metric.id
            for said in SAID.get(metric.id, "").split(","):
                yield said, metric.id
