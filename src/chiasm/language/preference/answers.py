"""What a scorer prefers, taught to a model that writes of what it is connected to: pictures, molecules, and words.

As in `preferring`, candidates are drawn, scored against the patient's own references, and paired; here a candidate is
written of everything that the patient has, and what is trained are the connectors and adapters of the model, by the
losses of `losses`. The reference is the model as it came, whose log-probabilities are kept before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from chiasm.cohort import Cohort
from chiasm.compute.isolation import seeded
from chiasm.fitting.neural import state_of
from chiasm.language.connected import Connected
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, TOWER, Stage, run_stages
from chiasm.language.predictor import ConnectedPredictor
from chiasm.language.preference.completions import Sampling
from chiasm.language.preference.losses import KTO, Preference, Sides, pair_losses, rewards
from chiasm.language.preference.pairs import GAP, Pairs, preference_pairs
from chiasm.language.preference.preferring import Written, apart, told_of, written
from chiasm.language.preference.scorers import Scorer
from chiasm.language.preference.tuning import Schedule
from chiasm.protocols import Fused
from chiasm.tokens import Packed, PackedTokens
from chiasm.training import Batch, Computed, Examples, Network, Objective, TargetTensors, TrainOptions
from chiasm.training.batches import take

AT_FIRST = " at first"
"""Name under which the reference's log-probabilities stand beside the modalities."""


@dataclass(frozen=True)
class PreferredAnswers:
    """A connected model that learned from pairs, and what it writes of patients who were held out.

    Args:
        predictor: the newer model.
        pairs: what it learned from.
        before, after: what the model writes as it came, and now; None where nobody was held out.
        agreed: share of the held-out pairs in which it prefers what the scorer does; NaN without any.
        changed: names of the parameters that moved.
    """

    predictor: ConnectedPredictor = field(repr=False)
    pairs: Pairs
    before: Written | None
    after: Written | None
    agreed: float
    changed: tuple[str, ...] = field(repr=False, default=())

    @property
    def told(self) -> str:
        """What happened to score and length, in a few sentences."""
        return told_of(self.pairs, self.before, self.after)


class PreferredAnswer(Objective):
    """The mean loss of preference of pairs: answer 0 of a patient is the chosen one, answer 1 the rejected."""

    def __init__(self, own: Preference) -> None:
        self.own = own

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Run the language model on each patient's prompt with either answer behind it."""
        policy, lengths = both_sides(cast(Connected, network.fusion), batch.tokens, batch.present)
        first = batch.tokens[AT_FIRST].values[:, 0].to(policy.chosen.dtype)
        each = pair_losses(self.own, policy, Sides(first[:, 0], first[:, 1]), lengths)
        return Computed({"preference": each.mean()}, policy.chosen[:, None], Fused(policy.chosen[:, None]))


def both_sides(fusion: Connected, tokens: dict, present: Tensor) -> tuple[Sides, Sides]:  # type: ignore[type-arg]
    """Log-probabilities of the chosen and the rejected answer of each patient, and their numbers of tokens."""
    _, _, found = fusion.likelihoods(tokens, present)
    pairs = found.reshape(-1, 2, 2)  # (B, sides, log p and number)
    return Sides(pairs[:, 0, 0], pairs[:, 1, 0]), Sides(pairs[:, 0, 1], pairs[:, 1, 1])


def prefer_answers(
    predictor: ConnectedPredictor,
    cohort: Cohort,
    references: Sequence[Sequence[str]],
    scorer: Scorer,
    own: Preference,
    *,
    sampling: Sampling,
    schedule: Schedule,
    gap: float = GAP,
    held_out: float = 0.2,
    seed: int = 0,
) -> PreferredAnswers:
    """Draw, score, pair and train; the language model itself stays byte for byte, unless it was trained whole.

    Args:
        cohort: encoded patients of the model.
        references: of each patient, in the cohort's sorted order; the one that a text fits best counts.
        held_out: share of the patients who are asked before and after, and never learned from; at least one where any
            are asked for, and whole groups where the cohort has some.

    Raises:
        ValueError: a loss that cannot be had, too few patients, or no pair.
    """
    if own.loss == KTO:
        raise ValueError("kto weighs texts of other prompts too, and here there are none: take r-dpo, dpo, ipo or orpo")
    if sampling.candidates < 2:
        raise ValueError("a pair takes two candidates: give candidates=2 or more")
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out={held_out} must be 0 or more and below 1")
    keys = [str(row) for row in range(len(cohort))]
    aside = held_aside(cohort, held_out, seed)
    learned = [row for row in range(len(keys)) if row not in aside]
    if not learned:
        raise ValueError("there is no patient to learn from: give more, or hold fewer out")
    best = _fitting_best(scorer, dict(zip(keys, references, strict=True)))
    network, first = (predictor.network().float() for _ in range(2))
    before = Asker(predictor, cast(Connected, first.fusion), cohort)
    drawn = before.drawn(learned, sampling, seed)
    asked = [keys[row] for row in learned]
    pairs = preference_pairs(asked, drawn, asked, best, gap=gap)
    if not pairs.pairs:
        raise ValueError(f"{pairs.told}: there is nothing to learn from; draw more candidates, or at more temperature")
    rows = [int(pair.prompt) for pair in pairs.pairs]
    examples = before.examples(rows, [(pair.chosen, pair.rejected) for pair in pairs.pairs])
    options = TrainOptions(schedule.epochs, schedule.epochs, schedule.batch, schedule.learning_rate, 0.0)
    stage = Stage("prefer", (CONNECTOR, TOWER, ADAPTER, LANGUAGE), examples, options, PreferredAnswer(own))
    (done,) = run_stages(network, [stage], seed=seed)
    newer = replace(predictor, state=state_of(network))
    if not aside:
        return PreferredAnswers(newer, pairs, None, None, math.nan, done.changed)
    after = Asker(predictor, cast(Connected, network.fusion), cohort)
    others = [keys[row] for row in aside]
    wrote = [asker.drawn(aside, sampling, seed + 1) for asker in (before, after)]
    score = [written(texts, others, best) for texts in wrote]
    beside = preference_pairs(others, wrote[0], others, best, gap=gap)
    tuned = replace(score[1], kl=_distance(after, before, aside, wrote[1]))
    agreed = _agreed(after, before, [int(pair.prompt) for pair in beside.pairs], beside, own)
    return PreferredAnswers(newer, pairs, score[0], tuned, agreed, done.changed)


def held_aside(cohort: Cohort, share: float, seed: int) -> list[int]:
    """Rows of the patients who are held out: a share of the patients, or of the groups where the cohort has some."""
    own = range(len(cohort)) if cohort.group is None else cohort.group.tolist()
    return apart([str(name) for name in own], share, seed)


@dataclass(frozen=True)
class Asker:
    """A connected model with patients who are asked by it."""

    predictor: ConnectedPredictor
    fusion: Connected
    cohort: Cohort

    def read(self, rows: Sequence[int], answers: Sequence[Sequence[str]]) -> tuple[dict[str, Packed], np.ndarray]:
        """Prompts of patients with these answers, their modalities, and which they have."""
        return self.predictor.read(self.cohort.subset(np.array(rows, dtype=int)), self.fusion.language, answers)

    def drawn(self, rows: Sequence[int], own: Sampling, seed: int) -> list[list[str]]:
        """Draw texts of each patient: those of one depend on him and the seed alone, not on the others."""
        tokens, present = self.read(rows, [("",)] * len(rows))
        found = []
        for place, row in enumerate(rows):
            here = np.array([place])
            source = torch.Generator().manual_seed(seeded(seed, str(self.cohort.ids[row])))
            texts = self.fusion.drawn(
                take(tokens, here), torch.from_numpy(present[here]), own.candidates, own.tokens, own.temperature, source
            )
            found.append(texts)
        return found

    def examples(self, rows: Sequence[int], pairs: Sequence[tuple[str, str]]) -> Examples:
        """Pairs of patients as examples, with the log-probabilities that this model gives them."""
        tokens, present = self.read(rows, pairs)
        first = np.concatenate(
            [torch.stack([own.chosen, own.rejected], 1).numpy() for own, _ in self.sides(tokens, present)]
        ).astype(np.float32)
        number = np.arange(len(rows))
        tokens[AT_FIRST] = PackedTokens.scatter([own[None] for own in first], number, len(rows), 2)
        nothing = TargetTensors(torch.zeros(len(rows)), torch.zeros(len(rows), dtype=torch.bool))
        return Examples(tokens, present, nothing, np.zeros(len(rows), dtype=bool))

    @torch.no_grad()
    def sides(self, tokens: dict[str, Packed], present: np.ndarray) -> Iterator[tuple[Sides, Sides]]:
        """Log-probabilities and lengths of both answers, some patients at a time."""
        self.fusion.eval()
        for start in range(0, len(present), 32):
            here = np.arange(start, min(start + 32, len(present)))
            yield both_sides(self.fusion, take(tokens, here), torch.from_numpy(present[here]))

    def log_probabilities(self, rows: Sequence[int], texts: Sequence[str]) -> Tensor:
        """Log-probability of one text of each patient, `(B,)`."""
        tokens, present = self.read(rows, [(text, text) for text in texts])
        return torch.cat([own.chosen for own, _ in self.sides(tokens, present)])


def _fitting_best(scorer: Scorer, references: dict[str, Sequence[str]]) -> Scorer:
    """Score a text against the references of a patient, by his row: that of the one which it fits best."""

    def best(text: str, key: str) -> float:
        return max((scorer(text, own) for own in references[key]), default=math.nan)

    return best


def _distance(after: Asker, before: Asker, rows: Sequence[int], texts: Sequence[Sequence[str]]) -> float:
    """Mean log-ratio of the newer model and the one before over texts of the newer one."""
    found = [
        after.log_probabilities(rows, own) - before.log_probabilities(rows, own)
        for own in zip(*texts, strict=True)  # one text of each patient
    ]
    return float(torch.cat(found).mean())


def _agreed(after: Asker, before: Asker, rows: Sequence[int], pairs: Pairs, own: Preference) -> float:
    """Share of pairs whose chosen text has the larger reward, without a price of length."""
    if not rows:
        return math.nan
    said = [(pair.chosen, pair.rejected) for pair in pairs.pairs]
    free, right = Preference(own.loss, own.beta, 0.0), []
    sides = [list(asker.sides(*asker.read(rows, said))) for asker in (after, before)]
    for (policy, lengths), (reference, _) in zip(*sides, strict=True):
        reward = rewards(free, policy, reference, lengths)
        right.append((reward.chosen > reward.rejected).float())
    return float(torch.cat(right).mean())
