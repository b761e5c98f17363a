"""`recipes` and `doctor`: what there is, and what this machine has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Json


def recipes(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="One recipe, or a part of a name.")] = "",
    paper: Annotated[
        str | None,
        typer.Option(help="A published system, its title or its arXiv number: where it lives here, how to cite it."),
    ] = None,
    json: Json = False,
) -> None:
    """Every recipe, or those of a name: the paper, what it needs, its options."""
    from chiasm import api

    if paper is not None:
        if name:
            raise ValueError(f"a recipe '{name}' and a paper were named: ask for one of them")
        found = api.paper_records(paper)
        if json:
            screen.show_json(found)
            return
        if found[0]["found_by"] == "spelling":
            screen.show(f"nothing is called '{paper.strip()}'; this is what is spelt most like it\n")
        for own in found:
            screen.show(_of_review(own) if "review" in own else _of_system(own))
        return
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


def _of_system(own: dict[str, Any]) -> str:
    """A system of the catalogue in lines."""
    lines = {
        "family": own["family"],
        "here": "; ".join(own["here"]),
        "how sure": f"{own['held']}: {own['held_means']}",
        "held by": ", ".join(own["tests"]),
        "deviates": own["deviates"],
        "read": own["docs"],
        "data": ", ".join(own["data"]),
        "targets": ", ".join(own["targets"]),
        "needs": ", ".join(own["needs"]),
        "GPU": own["gpu_means"] if own["here"] else "",
        "their code": ", ".join(filter(None, [own["code"], own["licence"]])),
        "not certain": own["unsure"],
    }
    return _titled(own["system"], own, lines)


def _of_review(own: dict[str, Any]) -> str:
    """A review of the catalogue in lines: its classes, with what is here of each."""
    lines = {"how sure": f"{own['held']}: {own['held_means']}"}
    lines |= {one["class"]: ", ".join(one["systems"]) or "nothing here" for one in own["taxonomy"]}
    return _titled(own["review"], own, {**lines, "not certain": own["unsure"]})


def _titled(name: str, own: dict[str, Any], lines: dict[str, str]) -> str:
    """Name and paper, then what is told of it, then its entry in a bibliography."""
    paper = f"{own['title']} ({', '.join(filter(None, [own['authors'], own['venue']]))} {own['year'] or 'undated'})"
    told = [f"  {what + ':':<12} {text}" for what, text in lines.items() if text]
    cite = own["cite"].rstrip().replace("\n", "\n  ")
    return "\n".join(
        [name, f"  {paper}", f"  {own['link'] or 'no link was found'}", *told, f"  {cite}" if cite else "", ""]
    )


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
