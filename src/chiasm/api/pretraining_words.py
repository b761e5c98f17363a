"""What a pretraining says of how it went, in sentences, and what a reader must know."""

from __future__ import annotations

from typing import Any

from chiasm.errors import count
from chiasm.pretraining.rasters.methods import METHODS as RASTER_METHODS
from chiasm.pretraining.tasks import METHODS

ALIKE = 0.01  # share of what is compared that differs between items, below which it is called one
FEW_STEPS = 4  # of an epoch, below which a note advises a lower batch
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
    return [*said, *_collapsed(facts, "sequence")]


def notes_on_letters(facts: dict[str, Any]) -> list[str]:
    """Say what was left out or read otherwise of sequences."""
    notes = _shared(facts, "sequence")
    if facts["unknown_letters"]:
        notes.append(f"{count(facts['unknown_letters'], 'letter')} outside the alphabet were read as unknown")
    return notes + _last_was_best(facts)


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
        f"It tells the time to the next event {word} how often it is zero, and mean and spread of the others, do: "
        f"{wait:.3f} and {constant:.3f} nats."
    )
    return [*said, *_collapsed(facts, "record")]


def notes_on_events(facts: dict[str, Any]) -> list[str]:
    """Say what was left out of records."""
    return _shared(facts, "record") + _last_was_best(facts)


def said_of_rasters(facts: dict[str, Any], method: str) -> list[str]:
    """Say what was learned of signals, images or volumes."""
    how, own, nothing = RASTER_METHODS[method], facts["held_out_loss"], facts["nothing"]
    beside = "" if nothing is None else f"; who knows nothing has {nothing:.3f}"
    epoch = f"epoch {facts['best_epoch']} of {len(facts['curve'])}"
    said = [f"Learned: {how.sentence}; held-out loss {own:.3f} at {epoch}{beside}."]
    if nothing is not None and not own <= nothing * (1 - BETTER):
        said.append("That is no better than one who knows nothing: little was learned, so take more epochs or items.")
    if not how.chooses:
        said.append("The last epoch is kept, since a low loss may be a collapse here: the other signs tell.")
    said += _collapsed(facts, "item")
    last = facts["curve"][facts["best_epoch"] - 1]
    if last.get("compared") is not None and last["compared"] < ALIKE:
        said.append(
            f"What the method compares has become almost one vector for all items ({last['compared']:.3f}, where 0 is "
            "one): the loss says nothing, so take more epochs, a lower learning rate, or another method."
        )
    return said


def notes_on_rasters(facts: dict[str, Any]) -> list[str]:
    """Say what a reader must know of a pretraining on signals, images or volumes."""
    notes = _shared(facts, "item")
    if facts["flat_items"]:
        notes.append(
            f"{count(facts['flat_items'], 'item')} of {facts['items']:,} are of one colour, and nothing is learned "
            "from them"
        )
    steps = round((facts["items"] - facts["held_out_items"]) / facts["options"]["batch"])
    if steps < FEW_STEPS:
        notes.append(
            f"an epoch has {count(max(1, steps), 'step')} alone: a lower batch may learn more in as many epochs"
        )
    return notes + (_last_was_best(facts) if RASTER_METHODS[facts["options"]["method"]].chooses else [])


def _collapsed(facts: dict[str, Any], item: str) -> list[str]:
    first, last = (facts["curve"][place]["rank"] for place in (0, facts["best_epoch"] - 1))
    if first is None or last is None or not last < 2 <= first:
        return []
    return [f"The mean states of held-out {item}s have collapsed: they lie almost on a line."]


def _shared(facts: dict[str, Any], item: str) -> list[str]:
    if not facts["shared_items"]:
        return []
    counted = count(facts["shared_items"], item)
    return [f"{counted} of held-out patients were those of patients trained on too, and judged nothing"]


def _last_was_best(facts: dict[str, Any]) -> list[str]:
    last = facts["best_epoch"] == len(facts["curve"])
    return ["the last epoch was the best: more epochs may tell more"] if last else []
