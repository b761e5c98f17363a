"""Public function that answers questions in plain words: of a run, from its own numbers, each with where it stands."""

from __future__ import annotations

from pathlib import Path

from chiasm.evaluation import Trial
from chiasm.language.asking.answer import Answer

LONGEST = 2_000
"""Characters of a question."""


def ask(of: Trial | Path | str, question: str) -> Answer:
    """Answer a question about a finished trial, from its own numbers only.

    The words of the question are matched with what a run can be asked: no language model has a part in it. Each number
    comes with the file and the key where it stands. A question with a word that the run knows nothing of, or about what
    the run does not hold, is not answered, and the answer names questions that can be asked.

    Args:
        of: a trial, or its run folder.
        question: in English.

    Returns:
        The answer; `print` shows it with its places, `answer.answered` is False where there is none.

    Raises:
        TrialError: the folder holds no finished trial.
        ValueError: the question is empty, or too long.
    """
    from chiasm.api.trials import load_trial
    from chiasm.report.asked.topics import answer_of_run

    require_question(question)
    return answer_of_run(of if isinstance(of, Trial) else load_trial(of), question)


def require_question(question: str) -> None:
    """Refuse a question without a word, or one that is no question any more.

    Raises:
        ValueError: it is empty, or too long.
    """
    if not question.strip():
        raise ValueError('the question is empty: write it in quotes, as in "Which modality helped?"')
    if len(question) > LONGEST:
        raise ValueError(f"the question has {len(question):,} characters: ask in {LONGEST:,} or fewer")
