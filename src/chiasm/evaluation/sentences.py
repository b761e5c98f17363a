"""Sentences of the verdict, each number beside the contrast that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chiasm.errors import count
from chiasm.evaluation.contrasts import Contrast
from chiasm.evaluation.verdict import CANNOT_TELL, DOES_NOT_PAY, PAYS, PREDICTS_MORE, Evidence, above_zero
from chiasm.shown import NO_INTERVAL, NOT_ESTIMABLE

_MOST_DIGITS = 6
ONE_CLUSTER = "the patients of a test fold are all of one cluster, or of too few, and clusters are drawn as a whole"


@dataclass(frozen=True)
class Circumstances:
    """Facts that a sentence names beside the numbers.

    Args:
        metric: label of the primary metric.
        single, combined: the recipes picked, with the number of folds in which each was picked.
        folds: test folds, J.
        patients, several: number of tested patients, and of those who have two modalities or more.
        units: number of clusters that were drawn together, None where each patient is one.
        fifths: True if the strata of combining are fifths of what `presence` predicts, not patterns.
        settle: number of patients that would settle the verdict, (fewest, most), or None.
        left_out: labels too rare among the patients with two modalities, left out of combining.
        accepted: each leak that was found and accepted, with the reason.
    """

    metric: str
    single: Mapping[str, int]
    combined: Mapping[str, int]
    folds: int
    patients: int
    several: int
    units: int | None = None
    fifths: bool = False
    settle: tuple[int, int] | None = None
    left_out: tuple[str, ...] = ()
    accepted: tuple[tuple[str, str], ...] = ()


def sentence_of(outcome: str, why: str, evidence: Evidence, around: Circumstances) -> str:
    """State the verdict in a few sentences: the outcome with the total, the parts, the fixed pair, and the limits."""
    said = [opening(outcome, why, evidence, around)]
    if outcome != CANNOT_TELL or why not in ("leak", "not estimable"):
        said += parts(outcome, why, evidence, around)
    if outcome == CANNOT_TELL and around.settle is not None:
        fewest, most = around.settle
        said.append(
            f"With 80 % power it would take about {fewest:,} patients to settle if the true gain were the upper end of "
            f"its interval, and about {most:,} if it were the margin of {evidence.margin:g}."
        )
    if around.folds == 1 and why not in ("leak", "no interval"):
        said.append(
            "With one split the intervals are a bootstrap of its test patients only and say nothing of other splits."
        )
    said += [
        f"Found, and accepted: {what}. The reason given: {reason.rstrip('.')}." for what, reason in around.accepted
    ]
    return " ".join(said)


def opening(outcome: str, why: str, evidence: Evidence, around: Circumstances) -> str:
    """Build the first sentence or two: the outcome with the contrast that decided it, and the total."""
    if why == "leak":
        return (
            f"These data cannot tell whether combining modalities pays, because something may give the outcome away: "
            f"{'; '.join(evidence.leaks)}. Mend it, or accept it by that name with a reason, under [accept] in the "
            "manifest or by accept= of cohort_from_frames."
        )
    margin, total = f"the margin of {evidence.margin:g}", told_total(evidence, around)
    if outcome == PREDICTS_MORE:
        return f"{more_patients(evidence, around)} {combining_too(why, evidence, around)}"
    if why == "not estimable":
        return (
            f"These data cannot tell whether combining modalities pays: the difference in {around.metric} between the "
            f"combined and the single side is not estimable ({data(around)}), because there are too few events, "
            f"members of a class or different values in the test folds."
        )
    if outcome == PAYS:
        least = "" if evidence.total.low >= evidence.margin else f", though the gain may be smaller than {margin}"
        return f"Combining modalities pays: {total}, an interval above zero{least}."
    if outcome == DOES_NOT_PAY and why == "total":
        return f"Combining modalities does not pay: {total}, so that any gain lies below {margin}."
    if outcome == DOES_NOT_PAY:
        return (
            f"Combining modalities does not pay: {total}, but neither combining nor covering more patients gains "
            f"{evidence.margin:g} or more; what remains is ranking between patients of different modalities, which "
            f"knowing who has what can buy."
        )
    if why == "too few":
        return f"These data cannot tell whether combining modalities pays: {evidence.too_few}. In all, {total}."
    return f"These data cannot tell whether combining modalities pays: {total}{because(why, evidence)}."


def more_patients(evidence: Evidence, around: Circumstances) -> str:
    """Say that several modalities predict more patients, with coverage and its interval."""
    mean, low, high = digits_of(evidence.coverage, evidence.margin)
    return (
        f"Several modalities predict more patients: giving each the best model of one modality that he can have gains "
        f"{mean} in {around.metric} over the picked single recipe ({named(around.single, around.folds)}; 95 % interval "
        f"{low} to {high}; {data(around)})."
    )


def combining_too(why: str, evidence: Evidence, around: Circumstances) -> str:
    """Say why it stays open whether combining also pays, beside predicting more patients."""
    if why == "too few":
        return (
            f"Whether combining them pays cannot be judged: {evidence.too_few}. In all, {told_total(evidence, around)}."
        )
    reason = "" if why == "not estimable" else because(why, evidence)
    return f"Whether combining them pays as well, these data cannot tell: {told_total(evidence, around)}{reason}."


def because(why: str, evidence: Evidence) -> str:
    """Say what kept the outcome from being "pays", as the end of a sentence."""
    least = f"{evidence.margin:g}"
    if why == "total" and evidence.total.same:
        return ""
    return {
        "no interval": f", because {ONE_CLUSTER}",
        "total": f", which holds both no gain and a gain of {least} or more",
        "combining": ", but not clearly among patients of the same modalities",
        "presence": ", but not clearly more than knowing which modalities a patient has",
        "fixed": ", but the two recipes picked most often, held fixed, do not differ in this direction",
    }[why]


def told_total(evidence: Evidence, around: Circumstances) -> str:
    """Describe the total with its interval: the recipes picked, by how much they differ, on which patients."""
    combined, single = named(around.combined, around.folds), named(around.single, around.folds)
    total = evidence.total
    if total.same:
        text = (
            f"the combined recipe picked on inner folds ({combined}) ranks the patients exactly as the picked single "
            f"one ({single}), so that there is no difference to give an interval of ({data(around)})"
        )
        if evidence.next_total.estimable and not evidence.next_total.same:
            text += f"; the next best combined recipe, less the single one, is {numbers(evidence.next_total)}"
        return text
    if not total.estimable:
        return f"the total is not estimable ({data(around)})"
    mean, low, high = digits_of(total, evidence.margin)
    interval = f"95 % interval {low} to {high}; {data(around)}" if total.bounded else f"{NO_INTERVAL}; {data(around)}"
    ours = f"the combined recipe picked on inner folds ({combined}) is"
    if float(mean) == 0:
        return f"{ours} about equal in {around.metric} to the picked single one ({single}; {interval})"
    verb = "better" if total.mean > 0 else "worse"
    signed = "" if total.mean > 0 else f"combined less single {mean}, "
    size = mean.removeprefix("-")
    return f"{ours} {verb} by {size} in {around.metric} than the picked single one ({single}; {signed}{interval})"


def parts(outcome: str, why: str, evidence: Evidence, around: Circumstances) -> list[str]:
    """Build the sentences on combining, coverage and the fixed pair, one each."""
    said = []
    share = f"the {around.several:,} tested patients who have two modalities or more"
    alike = "those of similar presence" if around.fifths else "those of the same modalities"
    combining = evidence.combining
    if why == "too few":
        pass
    elif combining.same:
        said.append(f"Combining: among {share}, it ranks exactly as the best available model of one modality.")
    elif combining.estimable:
        text = (
            f"Combining: among {share}, each compared with {alike}, the combined recipe less the best available model "
            f"of one modality is {numbers(combining)}"
        )
        if outcome == DOES_NOT_PAY and above_zero(combining):
            text += ", a gain for these patients though not for the whole"
        if around.left_out:
            text += f" (without the labels {', '.join(around.left_out)}, too rare among them)"
        said.append(f"{text}.")
    else:
        said.append(f"Combining is not estimable among {share}.")
    coverage = evidence.coverage
    if outcome == PREDICTS_MORE:
        pass
    elif coverage.same:
        said.append("Coverage: none, the best available model of one modality ranks as the picked single recipe does.")
    elif coverage.estimable:
        said.append(
            f"Coverage: the best available model of one modality less the picked single recipe is {numbers(coverage)}."
        )
    else:
        said.append("Coverage is not estimable.")
    if evidence.fixed.estimable and (len(around.combined) > 1 or len(around.single) > 1):
        combined, single = (max(counts, key=lambda name: counts[name]) for counts in (around.combined, around.single))
        said.append(f"Held fixed in all folds, '{combined}' less '{single}' is {numbers(evidence.fixed)}.")
    return said


def named(counts: Mapping[str, int], folds: int) -> str:
    """Name the recipe picked most often: `'late-fusion' in 3 of 5 folds`, or its name alone if always picked."""
    best = max(counts, key=lambda name: counts[name])
    return f"'{best}'" if counts[best] == folds else f"'{best}' in {counts[best]} of {folds} folds"


def data(around: Circumstances) -> str:
    """Describe the data: `198 patients in 40 clusters, 5 test folds`."""
    units = "" if around.units is None else f" in {count(around.units, 'cluster')}"
    return f"{around.patients:,} patients{units}, {count(around.folds, 'test fold')}"


def numbers(found: Contrast, margin: float = 0.0) -> str:
    """Format a contrast as `0.015 (-0.049 to 0.082)` or `0.015 (no interval)`, with a sign not lost in rounding."""
    mean, low, high = digits_of(found, margin)
    if not found.bounded:
        return f"{mean} ({NO_INTERVAL})"
    return f"{mean} ({low} to {high})"


def digits_of(found: Contrast, margin: float) -> tuple[str, str, str]:
    """Format mean, low and high with the decimals, three or more, that keep them on their side of zero and margin."""

    def sides(x: float, y: float, m: float) -> tuple[bool, ...]:
        return (x > 0, x >= m, y >= m, y > 0)

    digits = next(
        (
            n
            for n in range(3, _MOST_DIGITS)
            if sides(round(found.low, n), round(found.high, n), round(margin, n))
            == sides(found.low, found.high, margin)
        ),
        _MOST_DIGITS,
    )
    mean, low, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in found.numbers)
    return mean, low, high


def contrast_sentence(recipe: str, against: str, found: Contrast, metric: str, margin: float) -> tuple[str, str]:
    """Judge a named contrast by the ends of its interval alone; return the outcome and a sentence."""
    pair = f"'{recipe}' against '{against}'"
    if found.same:
        return CANNOT_TELL, f"{pair}: both rank the patients alike, so that there is no difference to judge."
    if not found.estimable:
        return CANNOT_TELL, f"{pair}: the difference in {metric} is {NOT_ESTIMABLE}."
    if not found.bounded:
        return CANNOT_TELL, f"{pair}: cannot tell, because {ONE_CLUSTER} (difference in {metric} {numbers(found)})."
    outcome = DOES_NOT_PAY if found.high < margin else PAYS if found.low > 0 else CANNOT_TELL
    words = {
        PAYS: "pays, an interval above zero",
        DOES_NOT_PAY: f"does not pay, any gain lies below the margin of {margin:g}",
        CANNOT_TELL: f"cannot tell, the interval holds both no gain and a gain of {margin:g} or more",
    }[outcome]
    mean, low, high = digits_of(found, margin)
    return outcome, f"{pair}: {words} (difference in {metric} {mean}, 95 % interval {low} to {high})."
