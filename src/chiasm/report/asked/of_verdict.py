"""What a run says of whether combining was worth it, and how patients were tested."""

from __future__ import annotations

from chiasm.errors import count
from chiasm.language.asking.hearing import Heard
from chiasm.report.asked.held import Held, said_interval


def verdict(held: Held, heard: Heard) -> str | None:
    """The verdict in its own words; where one modality is said to be added, the named contrasts of what that adds.

    The verdict is on combining all, and no answer to what one of several brings.
    """
    said = heard.of("MODALITY")
    if said and {*said} != {*held.document["cohort"]["modalities"]}:
        return _added(held, {*said})
    said = held.at("verdict", "sentence")
    return None if said is None else f"Combining: {held.at('verdict', 'outcome')}. {said}"


def _added(held: Held, said: set[str]) -> str | None:
    """The named contrasts of a recipe with one that reads all but these modalities; None without any."""
    found = []
    for k, row in enumerate(held.document["contrasts"]):
        more, less = ({*(held.peek("recipes", row[key], "reads") or ())} for key in ("recipe", "against"))
        if less and less < more and more - less == said:
            found.append(str(held.at("contrasts", k, "sentence")))
    return " ".join(found) or None


def difference(held: Held, heard: Heard) -> str | None:
    """The total: the picked combined recipe less the picked single one."""
    if held.peek("verdict") is None:
        return None
    value = said_interval(*(held.at("verdict", key) for key in ("difference", "low", "high")))
    return f"Over all test patients the picked combined recipe less the picked single one is {value}."


def combining(held: Held, heard: Heard) -> str | None:
    """The gain among patients who have two modalities or more."""
    if held.peek("verdict") is None:
        return None
    number = held.at("verdict", "several")
    value = held.triple("verdict", "combining")
    who = f"the {count(number, 'tested patient')} who have two modalities or more"
    return f"Among {who}, the combined recipe less the best available model of one modality is {value}."


def coverage(held: Held, heard: Heard) -> str | None:
    """What predicting more patients adds."""
    if held.peek("verdict") is None:
        return None
    value = held.triple("verdict", "coverage")
    return f"Coverage, the best available model of one modality less the picked single recipe, is {value}."


def settle(held: Held, heard: Heard) -> str | None:
    """How many patients would settle the question."""
    ends = held.at("verdict", "settle")
    if ends is None:
        return None
    low, high = ends
    return f"With 80 % power it would take from about {low:,} to about {high:,} patients to settle the verdict."


def margin(held: Held, heard: Heard) -> str | None:
    """The smallest gain worth having."""
    keys = ("verdict", "margin") if held.peek("verdict", "margin") is not None else ("protocol", "margin")
    value = held.at(*keys)
    return None if value is None else f"A gain of {value:g} is the smallest worth having."


def contrasts(held: Held, heard: Heard) -> str:
    """The contrasts that were named beforehand."""
    number = held.count("contrasts")
    if not number:
        return "No contrast was named for this trial."
    return " ".join(str(held.at("contrasts", k, "sentence")) for k in range(number))


def sealed(held: Held, heard: Heard) -> str | None:
    """What came of the sealed test set, where it was opened."""
    said = held.at("sealed", "sentence")
    return None if said is None else f"{held.at('sealed', 'conclusion')}: {said}"


def folds(held: Held, heard: Heard) -> str | None:
    """How many folds and repeats there are."""
    number = held.at("protocol", "test_folds")
    more = [(key, held.at("protocol", key)) for key in ("folds", "repeats", "inner_folds")]
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in more if value is not None)
    return f"Recipes were tested on {count(number, 'test fold')}" + (f" ({told})." if told else ".")


def draws(held: Held, heard: Heard) -> str:
    """How many draws stand behind the intervals."""
    return f"Intervals are of {held.at('protocol', 'draws'):,} bootstrap draws of patients within the test folds."


def seed(held: Held, heard: Heard) -> str:
    """The seed."""
    return f"The seed was {held.at('protocol', 'seed')}."


def sizes(held: Held, heard: Heard) -> str | None:
    """How many patients a model learned from, and was tested on."""
    train, test = held.at("protocol", "n_train"), held.at("protocol", "n_test")
    if train is None or test is None:
        return None
    return f"On average over the folds, recipes learned from {train:,.1f} patients and were tested on {test:,.1f}."


def versions(held: Held, heard: Heard) -> str | None:
    """The versions that the numbers depend on."""
    names = heard.of("PACKAGE") or tuple(held.peek("versions") or ())
    told = ", ".join(f"{name} {held.at('versions', name)}" for name in names)
    return f"The trial was run with {told}." if told else None
