"""Patients as questions: the words of a prompt with a slot for each modality, and the answers among which one is right.

    <image> context words
    Question: ...
    Answer:

The answers are the patient's own options (`choice`), the labels (`classification`), or nothing (`text`), which a model
writes by itself. Options are not listed in the prompt and are scored one by one, so that their order decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.errors import count
from chiasm.language.language_model import Words
from chiasm.language.spliced import slot
from chiasm.readers import reader_for
from chiasm.targets import Outcome, Target
from chiasm.tokens import PackedTokens

PROMPT, ANSWERS = " prompt", " answers"
"""Names under which prompts and answers stand beside the modalities; no modality begins with a blank."""

TEXT_SLOT = "<image>"


@storable("asked")
@dataclass(frozen=True)
class Asked:
    """How the patients of a cohort are asked.

    Args:
        slots: modalities that are read as soft tokens, sorted.
        context: modalities of words that stand before the question, sorted.
        question: modality that is the question; empty: `default` is asked of everybody.
        default: the question of who has none of his own.
        labels: names of the classes; empty for other targets.
        exemplars: question to what stands before its prompts, the same question of a training patient in words with its
            right answer and `<image>` in the place of the modalities; empty: nothing stands there.
        most: tokens that are kept of each of a patient's texts, his question too, from its begin; 0: all.
    """

    slots: tuple[str, ...]
    context: tuple[str, ...]
    question: str
    default: str
    labels: tuple[str, ...] = ()
    most: int = 0
    exemplars: dict[str, str] = field(default_factory=dict, repr=False)

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        several = count(len(self.exemplars), "question")
        return f"{several} of training patients with the right answer, word for word" if self.exemplars else ""

    def texts(self, cohort: Cohort) -> tuple[list[str], list[list[str]]]:
        """Return of each patient the question, and his words of each modality of `context`, "" where he has none."""
        asked = written(cohort, self.question) if self.question else [""] * len(cohort)
        context = [written(cohort, name) for name in self.context]
        return [own or self.default for own in asked], [list(own) for own in zip(*context, strict=True)] or [
            [] for _ in asked
        ]

    def prompts(self, cohort: Cohort, words: Words) -> list[list[int]]:
        """Return the prompt of each patient, slots below zero; a slot stands there for who lacks the modality too."""
        questions, context = self.texts(cohort)
        return [self.prompt(question, own, words) for question, own in zip(questions, context, strict=True)]

    def prompt(self, question: str, context: Sequence[str], words: Words) -> list[int]:
        """Return the prompt of one question."""
        before = self.exemplars.get(question, "")
        told: list[int] = []
        for own in context:
            ids = words.ids(own + "\n") if own else []
            told += ids[: self.most] if self.most else ids
        lead = [slot(m) for m in range(len(self.slots))]
        begun = [*words.begin, *(words.ids(before + "\n") if before else [])]
        asked, said = words.ids(asked_in_words(question)), words.ids(" " + question)
        if self.most and len(said) > self.most and question != self.default:
            asked = [*words.ids("Question:"), *said[: self.most], *words.ids("\nAnswer:")]
        return [*begun, *lead, *told, *asked]

    def options(self, cohort: Cohort) -> list[tuple[str, ...]]:
        """Return of each patient the answers among which one is right; none where he writes it himself."""
        if self.labels:
            return [self.labels] * len(cohort)
        own = cohort.options
        return [()] * len(cohort) if own is None else [tuple(texts) for texts in own.texts.tolist()]

    def packed(
        self, cohort: Cohort, words: Words, reach: int, soft: int, answers: Sequence[Sequence[str]] | None = None
    ) -> dict[str, PackedTokens]:
        """Return prompts and answers as tokens that a batch takes like any other; raises as `packed_prompts`.

        Args:
            reach: the most tokens that the model can read.
            soft: the most soft tokens that a patient has.
            answers: the answers of each patient; None: his `options`.
        """
        given = self.options(cohort) if answers is None else answers
        return packed_prompts(self.prompts(cohort, words), given, words, reach, soft)

    def packed_within(
        self, cohort: Cohort, words: Words, reach: int, soft: int, answers: Sequence[Sequence[str]] | None, said: int
    ) -> tuple[dict[str, PackedTokens], list[int]]:
        """Return prompts and answers, and the rows of patients whose texts were cut so that the model can read them.

        Of who has too many words each text is cut from its end, all to one length, the longest that there is room for.

        Args:
            said: the most tokens that are written behind a prompt.

        Raises:
            Unsupported: what is too long is no text of a patient: answers, or the words around the texts.
        """
        given = self.options(cohort) if answers is None else answers
        prompts, cut = list[list[int]](), list[int]()
        for row, (question, context) in enumerate(zip(*self.texts(cohort), strict=True)):
            prompt = self.prompt(question, context, words)
            room = reach - soft - max((len(words.ids(" " + text)) + 1 for text in given[row]), default=1)
            if number_of_words(prompt) > room:
                shorter = self.cut(question, context, words, room - said)
                if number_of_words(shorter) <= room:
                    prompt = shorter
                    cut.append(row)
            prompts.append(prompt)
        return packed_prompts(prompts, given, words, reach, soft), cut

    def cut(self, question: str, context: Sequence[str], words: Words, room: int) -> list[int]:
        """Return the prompt of one question with its texts cut to the most tokens each for which it has room."""
        low, high = 1, max(room, 1)
        while low < high:
            middle = (low + high + 1) // 2
            fits = number_of_words(replace(self, most=middle).prompt(question, context, words)) <= room
            low, high = (middle, high) if fits else (low, middle - 1)
        return replace(self, most=low).prompt(question, context, words)


def number_of_words(prompt: Sequence[int]) -> int:
    """Number of a prompt's tokens that are words."""
    return sum(word >= 0 for word in prompt)


def asked_in_words(question: str) -> str:
    """Return the end of a prompt, behind which the answer stands."""
    return f"Question: {question}\nAnswer:"


def packed_prompts(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[str]], words: Words, reach: int, soft: int
) -> dict[str, PackedTokens]:
    """Return prompts, slots below zero, with the answers of each as tokens.

    Raises:
        Unsupported: a prompt with its soft tokens and its longest answer is longer than the model can read.
    """
    said = [[[*words.ids(" " + text), words.end] for text in own] for own in answers]
    longest = [
        number_of_words(prompt) + soft + max((len(own) for own in several), default=1)
        for prompt, several in zip(prompts, said, strict=True)
    ]
    beyond = int((np.array(longest, dtype=int) > reach).sum())
    if beyond:
        raise Unsupported(
            f"the prompts of {count(beyond, 'patient')} have up to {max(longest):,} tokens, and the language model "
            f"can read {reach:,}: cut the words of each modality by most=..., take fewer soft tokens, or a model "
            "that reads more"
        )
    told = [[[k, word] for k, own in enumerate(several) for word in own] for several in said]
    rows = np.arange(len(prompts))
    return {
        PROMPT: packed_ids([[[own] for own in prompt] for prompt in prompts], rows, 1),
        ANSWERS: packed_ids(told, rows, 2),
    }


def packed_ids(parts: Sequence[Sequence[Sequence[int]]], rows: np.ndarray, width: int) -> PackedTokens:
    """Pack numbers of words, and what stands beside each, of the patients `rows`."""
    return PackedTokens.scatter(
        [np.array(own, dtype=np.float32).reshape(-1, width) for own in parts], rows, len(rows), width
    )


def written(cohort: Cohort, modality: str) -> list[str]:
    """Return the words of each patient in a modality of text, "" where he has none.

    Raises:
        Unsupported: the modality is no text of which the words are known.
    """
    if modality not in cohort.modalities:
        return [""] * len(cohort)
    rows, kept = cohort.rows_of(modality), cohort.written(modality)
    if kept is not None:
        reader = reader_for(kind_of_source(cohort, modality))
        texts = [reader.read(own) for own in kept]
    else:
        texts = list(cohort.raw(modality))
        if any(not isinstance(own, str) for own in texts):
            raise Unsupported(f"the words of modality '{modality}' are not known: encode the cohort again")
    found = [""] * len(cohort)
    for row, text in zip(rows.tolist(), texts, strict=True):
        found[row] = str(text)
    return found


def right_answers(target: Target, outcome: Outcome) -> np.ndarray:
    """Return the number of the right answer of each patient, `(B,)`: 0 where there is one text alone."""
    return np.zeros(len(outcome.value), int) if target.has_texts else outcome.value.astype(int)


def first_texts(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return the first reference of each patient, as the one answer that is learned."""
    assert outcome.texts is not None  # a target of texts
    return [tuple(own[:1]) for own in outcome.texts.references.tolist()]
