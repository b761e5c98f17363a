"""Public function that answers questions in plain words: from the numbers of a run, or by a model about a patient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.evaluation import Trial
from chiasm.language.asking.answer import Answer as Answer
from chiasm.language.asking.answer import Place
from chiasm.protocols import Model

if TYPE_CHECKING:
    from chiasm.models.asked.patient import Patient

LONGEST = 2_000
"""Characters of a question."""
SAID_BY_MODEL = "This is what the model says, and may be wrong."


def ask(
    of: Trial | Model | Path | str,
    question: str,
    cohort: Given | None = None,
    *,
    patient: str | None = None,
    options: Sequence[str] = (),
    calibrate: Given | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Answer:
    """Answer a question about a finished trial from its own numbers only, or about a patient by a fitted model.

    **Of a run.** The words of the question are matched with what a run can be asked: no language model has a part in
    it. Each number comes with the file and the key where it stands. A question with a word that the run knows nothing
    of, or about what the run does not hold, is not answered, and the answer names questions that can be asked.

    **Of a model.** A model that reads a question (a modality `question`, `prompt` or `instruction`) and answers by a
    choice or a text is given it, in place of the patient's own. Any other says what it predicts of the patient, how
    sure that is, and what each modality brings to it, to a question about these; other questions are not answered.

    Args:
        of: a trial or its run folder, or a model or its folder.
        question: in English.
        cohort: of a model: the patients, or the path of their manifest; their outcomes are not read.
        patient: of a model: the identifier of the patient who is asked about.
        options: of a model that chooses: what to choose among, in place of the patient's own options.
        calibrate: of a model: held-out patients with outcomes, or their manifest, from whom the set or interval comes.
        progress: called with (modality, finished, all) sources.

    Returns:
        The answer; `print` shows it with its places, `answer.answered` is False where there is none.

    Raises:
        TrialError, ArtifactError: the folder holds no finished trial, or no model.
        ValueError: the question is empty or too long, or no such patient is in the cohort.
        Unsupported: a cohort without a patient or the other way round, or with a run; options for a model that does not
            choose among them, none for one that does; or the model cannot read the patient.
    """
    require_question(question)
    if isinstance(of, Trial) or (isinstance(of, str | Path) and not (Path(of) / "model.json").is_file()):
        if cohort is not None or patient is not None or options or calibrate is not None:
            raise Unsupported("a run answers from its own numbers: ask a model folder about a patient of a cohort")
        return _of_run(of, question)
    return _of_model(of, question, cohort, patient, options, calibrate, progress)


def require_question(question: str) -> None:
    """Refuse a question without a word, or one that is no question any more.

    Raises:
        ValueError: it is empty, or too long.
    """
    if not question.strip():
        raise ValueError('the question is empty: write it in quotes, as in "Which modality helped?"')
    if len(question) > LONGEST:
        raise ValueError(f"the question has {len(question):,} characters: ask in {LONGEST:,} or fewer")


def _of_run(of: Trial | Path | str, question: str) -> Answer:
    from chiasm.api.trials import load_trial
    from chiasm.report.asked.topics import answer_of_run

    return answer_of_run(of if isinstance(of, Trial) else load_trial(of), question)


def _of_model(
    of: Model | Path | str,
    question: str,
    cohort: Given | None,
    patient: str | None,
    options: Sequence[str],
    calibrate: Given | None,
    progress: Callable[[str, int, int], None] | None,
) -> Answer:
    from chiasm.api.models import load_model
    from chiasm.models.asked.question import chooses, question_of, with_question
    from chiasm.models.asked.topics import Asked, answer_of_model

    model = load_model(of) if isinstance(of, str | Path) else of
    if (cohort is None) != (patient is None):
        raise Unsupported("a patient is one of a cohort: name the cohort and --patient, or neither")
    if options and not chooses(model):
        raise Unsupported("options are for a model that chooses among a patient's own: leave --option out")
    reads = question_of(model)
    if cohort is None or patient is None:
        if reads is not None:
            raise Unsupported("the model answers questions about a patient: name a cohort and --patient")
        return answer_of_model(Asked(model), question)
    opened = as_cohort(cohort)
    one = opened.subset([patient])
    if reads is None:
        return answer_of_model(Asked(model, _predicted(model, one, calibrate, progress)), question)
    asked = with_question(one, reads, question, options)
    if chooses(model) and (asked.options is None or not asked.options.sizes.sum()):
        raise Unsupported("the model chooses among options, and the patient has none: give --option for each")
    return _said(_answered(model, asked, progress)[1], asked)


def _answered(
    model: Model, one: Cohort, progress: Callable[[str, int, int], None] | None
) -> tuple[Cohort, pd.DataFrame, list[str]]:
    """Encode and predict one patient: the encoded cohort, the prediction, and how he is unlike the training."""
    from chiasm.api.encoding import encode_for
    from chiasm.api.external import read_by, told_by

    found = encode_for(model, one, progress=progress)
    known = found.cohort.with_modalities(read_by(model, found.cohort))
    predicted, notes = told_by(model, known)
    unread = [f"A source of '{problem.modality}' cannot be read and counts as absent." for problem in found.problems]
    return known, predicted, [*unread, *notes]


def _predicted(
    model: Model, one: Cohort, calibrate: Given | None, progress: Callable[[str, int, int], None] | None
) -> Patient:
    from chiasm.api.certainty import conformal
    from chiasm.models.asked.patient import Patient

    sure, coverage = None, 0.95
    known, predicted, notes = _answered(model, one, progress)
    if calibrate is not None:
        fitted = conformal(model, calibrate, progress=progress)
        fitted.require_others(one)
        whole = fitted.added_to(predicted, one)
        sure = whole[[name for name in whole.columns if name not in predicted.columns]]
        coverage = fitted.thresholds.coverage
    return Patient(model, known, predicted, sure, coverage, notes)


def _said(predicted: pd.DataFrame, asked: Cohort) -> Answer:
    """What a model that reads the question answers: a text, or its choice with the probability of each option."""
    row = predicted.drop(columns="pattern").iloc[0]
    places = [
        Place("prediction", str(name), value if isinstance(value, str) else float(value)) for name, value in row.items()
    ]
    texts = [] if asked.options is None else list(asked.options.texts[0])
    chances = [float(row[f"p_{place + 1}"]) for place in range(len(texts))]
    if not texts:
        return Answer(True, f"{row.iloc[0]}\n{SAID_BY_MODEL}", tuple(places), topic="model")
    best = max(range(len(texts)), key=lambda place: chances[place])
    told = ", ".join(f"{text} {chance:.3f}" for text, chance in zip(texts, chances, strict=True))
    return Answer(True, f"{texts[best]} (of {told})\n{SAID_BY_MODEL}", tuple(places), topic="model")
