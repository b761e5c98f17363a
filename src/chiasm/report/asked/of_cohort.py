"""What a run says of its cohort: who was tested, on what, and what the check found."""

from __future__ import annotations

from chiasm.errors import count
from chiasm.language.asking.hearing import Heard
from chiasm.report.asked.held import Held


def patients(held: Held, heard: Heard) -> str:
    """How many patients the trial used."""
    number, left = held.at("cohort", "patients"), held.at("cohort", "excluded")
    return f"The trial used {count(number, 'patient')}" + (f" and left out {left:,}." if left else ".")


def excluded(held: Held, heard: Heard) -> str | None:
    """How many patients were left out, and why."""
    left = held.at("cohort", "excluded")
    if left is None:
        return None
    whys = {"unknown_outcome": "of unknown outcome", "no_modality": "without any modality"}
    known = [(key, own) for key, own in whys.items() if held.peek("description", "flow", key)]
    why = ", ".join(f"{held.at('description', 'flow', key):,} {own}" for key, own in known)
    return f"Patients left out of the trial: {left:,}" + (f" ({why})." if why else ".")


def having(held: Held, heard: Heard) -> str | None:
    """How many patients have a modality; of several, how many have each combination of them."""
    if len(heard.of("MODALITY")) > 1:
        return patterns(held, heard)
    whole = held.at("cohort", "patients")
    parts = []
    for name in heard.of("MODALITY"):
        number = held.at("cohort", "modalities", name, "present")
        parts.append(f"'{name}' is there for {number:,}")
    return f"Of {count(whole, 'patient')} {' and '.join(parts)}."


def several(held: Held, heard: Heard) -> str | None:
    """How many tested patients have two modalities or more."""
    number = held.at("verdict", "several")
    return None if number is None else f"{count(number, 'tested patient')} have two modalities or more."


def patterns(held: Held, heard: Heard) -> str | None:
    """How many patients have each combination of modalities."""
    found = held.peek("cohort", "patterns")
    if not found:
        return None
    told = ", ".join(f"{name}: {held.at('cohort', 'patterns', name):,}" for name in found)
    return f"Patients by the modalities that they have: {told}."


def modalities(held: Held, heard: Heard) -> str:
    """Which modalities there are."""
    parts = []
    for name in held.document["cohort"]["modalities"]:
        kind, number = (held.at("cohort", "modalities", name, key) for key in ("kind", "present"))
        parts.append(f"'{name}' ({kind}, {count(number, 'patient')})")
    return f"The modalities are {', '.join(parts)}."


def events(held: Held, heard: Heard) -> str | None:
    """How many patients had the event; of several causes, how many had each."""
    if held.peek("cohort", "target", "main_named") is not None:
        return classes(held, heard)
    number = held.at("cohort", "target", "events")
    whole = held.at("cohort", "patients")
    return None if number is None else f"{number:,} of {count(whole, 'patient')} had the event."


def classes(held: Held, heard: Heard) -> str | None:
    """The classes or labels of the target, and how many patients have each; of boxes, how many there are of each."""
    names, numbers = held.peek("cohort", "target", "classes"), held.peek("cohort", "target", "counts")
    if not names:
        return None
    held.at("cohort", "target", "classes")
    if not numbers:
        return f"The target tells apart {', '.join(names)}."
    held.at("cohort", "target", "counts")
    what = "Patients" if held.peek("cohort", "target", "without_boxes") is None else "Boxes"
    return f"{what} of each: {', '.join(f'{name} {number:,}' for name, number in zip(names, numbers, strict=True))}."


def target(held: Held, heard: Heard) -> str:
    """What is predicted."""
    kind, columns = held.at("cohort", "target", "kind"), held.at("cohort", "target", "columns")
    unit = held.peek("cohort", "target", "unit") and held.at("cohort", "target", "unit")
    return f"The target is {kind}, of the columns {', '.join(columns)}" + (f", in {unit}." if unit else ".")


def findings(held: Held, heard: Heard) -> str:
    """What the check and the trial found: problems, or leaks alone, and which were accepted."""
    leaks = "leak" in heard.concepts
    rows = held.document["findings"]
    chosen = [k for k, row in enumerate(rows) if row.get("leak") or not leaks]
    what = "leak" if leaks else "problem"
    held.count("findings")
    if not chosen:
        return f"The check and the trial found no {what}."
    parts = []
    for k in chosen:
        said = str(held.at("findings", k, "what"))
        accepted = held.at("findings", k, "accepted")
        parts.append(f"{said}" + (f" (accepted: {accepted})" if accepted else ""))
    return f"{what.capitalize()}s found: {'; '.join(parts)}."


def column(held: Held, heard: Heard) -> str | None:
    """How a column of the patients is spread: its quartiles, or how many have each level.

    None where somebody asks how many patients have a number, or too few have it.
    """
    parts, spread = [], "middle" in heard.concepts or "patient" not in heard.concepts
    for name in heard.of("COLUMN"):
        base = ("description", "characteristics", "columns", name)
        if (ends := held.peek(*base, "quartiles")) is not None:
            low, middle, high = (held.at(*base, "quartiles", 0) if spread and ends else None) or (None, None, None)
            known = middle is not None
            parts.append(f"'{name}' has a median of {middle:g} (quartiles {low:g} and {high:g})" if known else "")
        elif held.peek(*base, "levels"):
            rows = held.peek(*base, "levels")
            own = [(row["name"], held.at(*base, "levels", row["name"], "patients", 0)) for row in rows]
            told = ", ".join(
                f"{level} {'too few to say' if number is None else f'{number:,}'}" for level, number in own
            )
            parts.append(f"'{name}' by patients: {told}")
    return f"{'; '.join(parts)}." if all(parts) and parts else None


def sites(held: Held, heard: Heard) -> str | None:
    """How many sites the patients come from."""
    number = held.at("cohort", "sites")
    return None if number is None else f"The patients come from {count(number, 'site')}."


def groups(held: Held, heard: Heard) -> str | None:
    """How many groups of patients the folds keep together."""
    number = held.at("cohort", "groups")
    return None if number is None else f"The patients are of {count(number, 'group')}, which the folds keep together."
