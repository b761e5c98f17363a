"""From prompts with references to a model that writes what a scorer likes, and what that did to length.

Candidates are drawn from the model, scored, and paired; an adapter learns from the pairs; prompts that were held out
say whether the score rose, how long the texts became, and how far the model went from its base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from chiasm.adapters.attach import attach
from chiasm.adapters.peft_attached import PeftAttached
from chiasm.adapters.peft_families import LoRA, PeftAdapter
from chiasm.adapters.sites import projections
from chiasm.language.preference.completions import Sampling, completion_log_probabilities, sampled
from chiasm.language.preference.losses import Preference, Sides, rewards
from chiasm.language.preference.pairs import GAP, Pair, Pairs, correlation, preference_pairs, words_of
from chiasm.language.preference.scorers import Scorer, known, scored
from chiasm.language.preference.tuning import Schedule, prefer_pairs


@dataclass(frozen=True)
class Written:
    """What a model writes of the prompts that were held out; each number is a mean over prompts of their texts' mean.

    Args:
        prompts: how many.
        score: what the scorer gives, over the texts that have a score.
        words: number of words.
        correlation: of score and number of words over the texts, each less its prompt's mean; near 1, the scorer pays
            for length.
        kl: mean of `log p(y) - log p_base(y)` over its texts y, an estimate of how far it went; 0 for the base.
    """

    prompts: int
    score: float
    words: float
    correlation: float
    kl: float = 0.0


@dataclass(frozen=True)
class Preferred:
    """An adapter that learned from pairs, and what it does on prompts that were held out.

    Args:
        attached: the adapter, attached to the model.
        pairs: what it learned from.
        losses: of each step.
        before, after: what the base, and what the tuned model writes; None where no prompt was held out.
        agreed: share of the held-out pairs in which the tuned model prefers what the scorer does; NaN without any.
    """

    attached: PeftAttached = field(repr=False)
    pairs: Pairs
    losses: tuple[float, ...] = field(repr=False)
    before: Written | None
    after: Written | None
    agreed: float

    @property
    def told(self) -> str:
        """What happened to score and length, in a few sentences."""
        return told_of(self.pairs, self.before, self.after)


def told_of(pairs: Pairs, before: Written | None, after: Written | None) -> str:
    """Say what happened to score and length, in a few sentences."""
    said = [f"{pairs.told}."]
    if before is None or after is None:
        return f"{said[0]} No prompt was held out: what it does to score and length is not known."
    said.append(
        f"On {before.prompts:,} prompts held out the score went from {before.score:.3f} to {after.score:.3f}, and "
        f"texts from {before.words:.1f} to {after.words:.1f} words; {after.kl:.2f} nats a text from the base."
    )
    if before.correlation > 0.5:
        said.append(f"The scorer likes long texts: its scores go with length by {before.correlation:.2f}.")
    return " ".join(said)


def prefer(
    network: Any,
    words: Any,
    prompts: Sequence[str],
    references: Sequence[str],
    scorer: Scorer,
    own: Preference | None = None,
    *,
    adapter: PeftAdapter | None = None,
    sites: Sequence[str] = (),
    sampling: Sampling | None = None,
    schedule: Schedule | None = None,
    gap: float = GAP,
    held_out: float = 0.2,
    seed: int = 0,
) -> Preferred:
    """Draw, score, pair and train; the model keeps the adapter, and its own weights stay byte for byte.

    Args:
        network, words: a causal language model of transformers and its tokenizer.
        references: for each prompt what a scorer holds a text against.
        adapter, sites: LoRA at the projections of attention, unless others are given.
        held_out: share of the prompts that are drawn to be asked before and after, and never learned from; rows with
            the same prompt stay together.

    Raises:
        ValueError: too few prompts or pairs, or what the parts refuse.
    """
    own, sampling = own or Preference(), sampling or Sampling()
    if len(prompts) != len(references):
        raise ValueError(f"{len(prompts):,} prompts and {len(references):,} references: give one for every prompt")
    if sampling.candidates < 2:
        raise ValueError("a pair takes two candidates: give candidates=2 or more")
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out={held_out} must be 0 or more and below 1")
    aside = apart(prompts, held_out, seed)
    learned = [row for row in range(len(prompts)) if row not in aside]
    if not learned:
        raise ValueError("there is no prompt to learn from: give more, or hold fewer out")

    def of(rows: Sequence[int], texts: Sequence[str]) -> list[str]:
        return [texts[row] for row in rows]

    adapter = adapter or LoRA(rank=min(8, int(network.config.hidden_size) // 2))
    places = tuple(sites) or projections(network, adapter.rank if isinstance(adapter, LoRA) else 1)
    drawn = sampled(network, words, of(learned, prompts), sampling, seed=seed)
    pairs = preference_pairs(of(learned, prompts), drawn, of(learned, references), scorer, gap=gap)
    asked, answers = of(aside, prompts), of(aside, references)
    first = sampled(network, words, asked, sampling, seed=seed + 1)
    attached = attach(network, adapter, lambda name, _: name in places, seed=seed)
    try:
        losses = prefer_pairs(network, words, pairs.pairs, own, schedule, seed=seed)
        if not aside:
            return Preferred(attached, pairs, tuple(losses), None, None, float("nan"))
        beside = preference_pairs(asked, first, answers, scorer, gap=gap)
        then = sampled(network, words, asked, sampling, seed=seed + 1)
        before, after = (written(own, answers, scorer) for own in (first, then))
        after = replace(after, kl=_distance(attached, words, asked, then))
        agreed = _agreed(attached, words, beside.pairs, own)
    except BaseException:
        attached.remove()
        raise
    return Preferred(attached, pairs, tuple(losses), before, after, agreed)


def written(texts: Sequence[Sequence[str]], references: Sequence[str], scorer: Scorer) -> Written:
    """Score and length of texts, those of each prompt against its reference."""
    score, length, beside = list[float](), list[float](), list[tuple[float, float]]()
    for own, reference in zip(texts, references, strict=True):
        each = [(s, float(words_of(t))) for t, s in zip(own, scored(scorer, own, reference), strict=True) if known(s)]
        length.append(float(np.mean([words_of(text) for text in own])))
        if each:
            mean = np.mean(each, axis=0)
            score.append(float(mean[0]))
            beside += [(s - float(mean[0]), w - float(mean[1])) for s, w in each]
    return Written(
        len(texts),
        float(np.mean(score)) if score else math.nan,
        float(np.mean(length)) if length else math.nan,
        correlation(beside),
    )


def apart(prompts: Sequence[str], share: float, seed: int) -> list[int]:
    """Rows that are held out: those of a share of the different prompts, drawn, at least one where any is asked for."""
    every = sorted(set(prompts))
    wanted = min(len(every) - 1, max(1, round(share * len(every)))) if share and len(every) > 1 else 0
    drawn = {every[k] for k in np.random.default_rng(seed).permutation(len(every))[:wanted]}
    return [row for row, prompt in enumerate(prompts) if prompt in drawn]


def _distance(attached: PeftAttached, words: Any, prompts: Sequence[str], texts: Sequence[Sequence[str]]) -> float:
    """Mean log-ratio of tuned model and base over texts of the tuned one."""
    rows = [(prompt, text) for prompt, own in zip(prompts, texts, strict=True) for text in own]
    tuned, base, _ = _both(attached, words, [row[0] for row in rows], [row[1] for row in rows])
    return float((tuned - base).mean())


def _agreed(attached: PeftAttached, words: Any, pairs: Sequence[Pair], own: Preference) -> float:
    """Share of pairs whose chosen text has the larger reward, `r(y) = beta (log p - log p_base)`, without a price."""
    if not pairs:
        return math.nan
    prompts = [one.prompt for one in pairs]
    chosen = _both(attached, words, prompts, [one.chosen for one in pairs])
    rejected = _both(attached, words, prompts, [one.rejected for one in pairs])
    free = Preference(own.loss, own.beta, 0.0)
    policy, reference, lengths = (Sides(a, b) for a, b in zip(chosen, rejected, strict=True))
    reward = rewards(free, policy, reference, lengths)
    return float((reward.chosen > reward.rejected).float().mean())


def _both(attached: PeftAttached, words: Any, prompts: Sequence[str], texts: Sequence[str]) -> Any:
    """Log-probabilities of texts under the tuned model and its base, and their lengths."""
    with torch.no_grad():
        tuned, lengths = completion_log_probabilities(attached.base, words, prompts, texts)
        with attached.disabled():
            base, _ = completion_log_probabilities(attached.base, words, prompts, texts)
    return tuned, base, lengths
