"""`recipes` and `doctor`: what there is, and what this machine has."""

from __future__ import annotations

from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Json


def recipes(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One recipe, or a part of a name.")] = "",
    json: Json = False,
) -> None:
    """Every recipe, or those of a name: the paper, what it needs, its options."""
    from chiasm import api

    every = api.list_recipes().to_dict("records")
    rows = [row for row in every if row["name"].partition(":")[0] == name.partition(":")[0]]
    rows = rows or [row for row in every if name in row["name"]]
    if not rows:
        api.recipe_class(name)  # refuses it, and names the nearest
    if json:
        screen.show_json(rows)
        return
    for row in rows:
        family = row["family"] if row["by_default"] else f"{row['family']}, when named"
        screen.show(f"{row['name']}  ({family})\n  from:    {row['paper']}\n  needs:   {row['needs']}")
        screen.show(f"  options: {row['options']}\n" if row["options"] else "")


def doctor(json: Json = False) -> None:
    """Versions, what is missing, and a self test of seconds."""
    from chiasm import api

    facts = api.diagnose()
    test = facts["self_test"]
    if json:
        screen.show_json(facts)
    else:
        packages = [[name, found or "not installed"] for name, found in facts["packages"].items()]
        cuda = ", ".join(facts["cuda"]) or "none"
        machine = [["system", facts["system"]], ["cores", str(facts["cores"])], ["threads", str(facts["threads"])]]
        machine += [["memory", f"{facts['memory_gb']} GB"], ["CUDA", cuda]]
        screen.show_table(["", ""], [["chiasm", facts["chiasm"]], ["python", facts["python"]], *packages, *machine])
        for extra, command in facts["missing_extras"].items():
            screen.show(f"The extra '{extra}' is not installed: {command}")
        word = "passed" if test["passed"] else "FAILED"
        screen.show(f"Self test {word}: {test['recipe']} on {test['patients']} patients, {test['seconds']} s.")
    if not test["passed"]:
        raise typer.Exit(2)
