"""A question put to a speaker in a way of prompting, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from chiasm.language.examples import Shot, as_worked
from chiasm.language.parsing import Read, folded, read_text
from chiasm.language.prompting.neighbours import Pool
from chiasm.language.prompting.prompting import REASONS, THINK, Prompting
from chiasm.language.prompting.shuffles import orders
from chiasm.language.questions import CUE, LETTERS, Question, shown, worded
from chiasm.language.speaking.metered import Metered
from chiasm.language.speaking.speaker import Weighing

VERSION = 1
"""Of the way in which questions are put: answers of another are not gone on with."""
TRIED = 4
"""Neighbours that are tried for each example with reasons; those whose own answer is wrong are passed over."""


@dataclass(frozen=True)
class Answered:
    """What came of a question.

    Args:
        scores: for each option, higher is better: the mean log-likelihood over the orders, or the share of the votes;
            none where no vote could be read, and without options.
        text: the words, where there was one answer alone or none could be read; without options the most frequent.
        votes: answers that could be read, of `asked`.
        examples: worked examples that stood before the question.
        cut: prompts whose begin was beyond the speaker's reach.
    """

    scores: tuple[float, ...] | None
    text: str | None
    votes: int
    asked: int
    examples: int = 0
    cut: int = 0


@dataclass
class Prompted:
    """A speaker with a way of prompting, and the examples that it may be shown.

    Args:
        speaker: who answers, and what that may cost.
        prompting: how it is asked.
        pool: worked examples; none of them is ever shown before itself.
        weighs: take the likelihood of each option's letter and not what is written, where the speaker tells it and no
            reasons are asked for.
    """

    speaker: Metered
    prompting: Prompting
    pool: Pool = field(default_factory=lambda: Pool(()))
    weighs: bool = True
    counted: Counter[str] = field(default_factory=Counter)
    _reasons: dict[Shot, str] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.prompting.examples > 0 and not len(self.pool):
            number = self.prompting.examples
            raise ValueError(f"{number} worked examples are to be shown, and there is none: hand some over")
        if self.prompting.samples > 1 and self.by_weight:
            raise ValueError("likelihoods are the same each time: choose samples=1, or answers in words")

    @property
    def by_weight(self) -> bool:
        """Whether letters are weighed, and nothing is written."""
        return self.weighs and not self.prompting.chain and isinstance(self.speaker.speaker, Weighing)

    @property
    def identity(self) -> str:
        """Hash of who is asked and how."""
        parts = [VERSION, self.speaker.identity, vars(self.prompting), self.by_weight, self.pool.identity]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def ask(self, asked: Question) -> Answered:
        """Put a question in every order of its options, and take the votes together.

        Raises:
            BudgetSpent: before the call that would be beyond it.
            NotSaid: one of the answers was not given; a vote that lacks would be a guess.
        """
        worked = self.worked(asked)
        places = orders(len(asked.options), self.prompting.shuffles, f"{self.prompting.seed} {asked.question}")
        shuffled = [Shown(asked.question, tuple(asked.options[k] for k in order), asked.context) for order in places]
        if self.by_weight and asked.options:
            return self._weighed(shuffled, places, worked)
        return self._voted(shuffled, places, worked)

    def worked(self, asked: Question) -> list[str]:
        """The worked examples of a question as text, the nearest last, beside the question."""
        number = self.prompting.examples
        if not self.prompting.chain:
            return [as_worked(shot) for shot in reversed(self.pool.nearest(asked, number))]
        kept: list[str] = []
        for shot in self.pool.nearest(asked, number * TRIED):
            reasons = self.reasons(shot) if len(kept) < number else ""
            if reasons:
                kept.append(f"{shown(shot.question, shot.options, shot.context, THINK)} {reasons}")
        return kept[::-1]

    def reasons(self, shot: Shot) -> str:
        """The speaker's own reasons for an example, nothing where they do not end in the right answer."""
        if shot not in self._reasons:
            prompt = self.prompt(Shown(shot.question, shot.options, shot.context), ())
            said = self.speaker.say(prompt, replace(self.prompting, samples=1).manner(0))
            right = ended(said.text, shot.options).position == shot.answer
            self.counted["reasons kept" if right else "reasons passed over"] += 1
            self._reasons[shot] = said.text if right else ""
        return self._reasons[shot]

    def prompt(self, asked: Question, worked: Sequence[str]) -> str:
        """The text that is put to the speaker."""
        turn = self.speaker.speaker.turn
        if not self.prompting.chain or not asked.options:
            return worded(asked, worked, turn=turn)
        return worded(asked, worked, turn=turn, cue=THINK, task=REASONS)

    def _weighed(
        self, shuffled: Sequence[Question], places: Sequence[Sequence[int]], worked: Sequence[str]
    ) -> Answered:
        names = LETTERS[: len(places[0])]
        found = self.speaker.weigh([self.prompt(own, worked) for own in shuffled], list(names))
        back = np.zeros((len(places), len(names)))
        for row, (order, own) in enumerate(zip(places, found, strict=True)):
            scores = np.asarray(own.scores)
            back[row, list(order)] = scores - np.logaddexp.reduce(scores)
        means = tuple(map(float, back.mean(0)))
        return Answered(means, None, len(places), len(places), len(worked), sum(own.cut for own in found))

    def _voted(self, shuffled: Sequence[Question], places: Sequence[Sequence[int]], worked: Sequence[str]) -> Answered:
        votes, texts, cut = Counter[int](), [], 0
        for own, order in zip(shuffled, places, strict=True):
            for number in range(self.prompting.samples):
                said = self.speaker.say(self.prompt(own, worked), self.prompting.manner(number))
                texts.append(said.text)
                cut += said.cut
                self.counted["stopped"] += not said.ended
                place = (
                    ended(said.text, own.options) if self.prompting.chain else read_text(said.text, own.options)
                ).position
                if own.options and place is not None:
                    votes[order[place]] += 1
        asked, number = len(texts), votes.total()
        if not places[0]:
            return Answered(None, most_frequent(texts), asked, asked, len(worked), cut)
        if not number or (asked == 1 and not self.prompting.chain):
            return Answered(None, texts[0], number, asked, len(worked), cut)
        scores = tuple(votes[k] / number for k in range(len(places[0])))
        return Answered(scores, None, number, asked, len(worked), cut)


@dataclass(frozen=True)
class Shown:
    """A question as it is shown."""

    question: str
    options: tuple[str, ...] = ()
    context: str = ""


def ended(text: str, options: Sequence[str]) -> Read:
    """Read what reasons end in: what stands behind the last "answer", or else all of it."""
    last = max(text.lower().rfind("answer is"), text.lower().rfind(CUE.lower()))
    read = read_text(text[last:], options) if last >= 0 else Read(None, "no option")
    return read if read.position is not None else read_text(text, options)


def most_frequent(texts: Sequence[str]) -> str:
    """The text that is said most often, whatever its case and marks; the first of those said as often."""
    seen = Counter(map(folded, texts))
    return max(texts, key=lambda own: (seen[folded(own)], -texts.index(own)))
