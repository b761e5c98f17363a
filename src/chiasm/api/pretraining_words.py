"""What a pretraining says of how it went, in sentences, and what a reader must know."""

from __future__ import annotations

from typing import Any

from chiasm.errors import count
from chiasm.pretraining.tasks import METHODS

BETTER = 0.01  # share by which a perplexity, or nats by which a time, lies below another, from which it is called lower


def said_of_letters(facts: dict[str, Any], method: str) -> list[str]:
    """Say how well the held-out letters of sequences are told."""
    own, baselines = facts["perplexity"], facts["baselines"]
    beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    best, value = min(baselines.items(), key=lambda pair: pair[1])
    said = [
        f"Told {METHODS[method].sentence}: held-out perplexity {own:.3f} at epoch {facts['best_epoch']} of "
        f"{len(facts['curve'])}, on {facts['asked']:,} letters; {beside}."
    ]
    if own <= value * (1 - BETTER):
        said.append(f"It tells held-out letters better than counts do ({best}).")
    else:
        said.append(
            f"It tells held-out letters no better than counts do ({best}): little was learned beyond them, so look at "
            "what it is worth beside k-mers."
        )
    items = facts["perplexity_by_item"]
    if items:
        falls = "falls" if items[-1] < items[0] * (1 - BETTER) else "does not fall"
        said.append(
            f"Within a pack the perplexity {falls} from the first item to the last: "
            f"{', '.join(f'{item:.3f}' for item in items)}."
        )
    first, last = facts["curve"][0], facts["curve"][facts["best_epoch"] - 1]
    if first["rank"] is not None and last["rank"] is not None and last["rank"] < 2 <= first["rank"]:
        said.append("The mean states of held-out sequences have collapsed: they lie almost on a line.")
    return said


def notes_on_letters(facts: dict[str, Any]) -> list[str]:
    """Say what was left out or read otherwise of sequences."""
    notes = []
    if facts["shared_items"]:
        notes.append(
            f"{count(facts['shared_items'], 'sequence')} of held-out patients were those of patients trained on too, "
            "and judged nothing"
        )
    if facts["unknown_letters"]:
        notes.append(f"{count(facts['unknown_letters'], 'letter')} outside the alphabet were read as unknown")
    if facts["best_epoch"] == len(facts["curve"]):
        notes.append("the last epoch was the best: more epochs may tell more")
    return notes


def said_of_events(facts: dict[str, Any]) -> list[str]:
    """Say how well the held-out events of records are told, and their times."""
    own, baselines = facts["perplexity"], facts["baselines"]
    beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    best, value = min(baselines.items(), key=lambda pair: pair[1])
    better = own <= value * (1 - BETTER)
    said = [
        f"Told the next event from those before it: held-out perplexity {own:.3f} at epoch {facts['best_epoch']} of "
        f"{len(facts['curve'])}, on {facts['asked']:,} events; {beside}.",
        f"It tells held-out events better than counts do ({best})."
        if better
        else f"It tells held-out events no better than counts do ({best}): little was learned beyond them, so look at "
        "what it is worth beside summaries of the records.",
    ]
    wait, constant = facts["wait"], facts["constant_wait"]
    word = "better than" if wait <= constant - BETTER else "no better than"
    said.append(
        f"It tells the time to the next event {word} the mean and spread of all times do: {wait:.3f} and "
        f"{constant:.3f} nats."
    )
    first, last = facts["curve"][0], facts["curve"][facts["best_epoch"] - 1]
    if first["rank"] is not None and last["rank"] is not None and last["rank"] < 2 <= first["rank"]:
        said.append("The mean states of held-out records have collapsed: they lie almost on a line.")
    return said


def notes_on_events(facts: dict[str, Any]) -> list[str]:
    """Say what was left out of records."""
    notes = []
    if facts["shared_items"]:
        notes.append(
            f"{count(facts['shared_items'], 'record')} of held-out patients were those of patients trained on too, and "
            "judged nothing"
        )
    if facts["best_epoch"] == len(facts["curve"]):
        notes.append("the last epoch was the best: more epochs may tell more")
    return notes
