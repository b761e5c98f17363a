"""Every recipe by name: ours, and those that other packages bring by the entry point `chiasm.recipes`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any

import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.catalogue import import_fitted
from chiasm.errors import nearest
from chiasm.fitting.forms import Form
from chiasm.fitting.sides import REFERENCES, forms_of, reads_of
from chiasm.recipes.catalogue import RECIPES, ROWS
from chiasm.specs import name_and_options, read_options

ALWAYS = ("single", "presence")
"""In every trial, whatever is listed."""


def others() -> dict[str, Any]:
    """Name to class of the recipes that other packages bring; they cannot take one of our names."""
    return {point.name: point.load() for point in entry_points(group="chiasm.recipes") if point.name not in ROWS}


def bring_others() -> None:
    """Import the recipes and fitted encoders of other packages, so that the parts that a model may hold are known."""
    others()
    import_fitted()


def recipe_class(name: str) -> Any:
    """The class of a recipe, ours without importing any other.

    Raises:
        ValueError: nobody has a recipe of this name, with the nearest one that is known.
    """
    if name in ROWS:
        return RECIPES[name]
    brought = others()
    if name not in brought:
        like = nearest(name, [*ROWS, *brought])
        raise ValueError(
            f"no recipe is called '{name}': "
            + (f"did you mean '{like}'?" if like else f"there are {', '.join([*ROWS, *brought])}")
        )
    return brought[name]


def make_recipe(text: str) -> Any:
    """A recipe from `name` or `name:option=value,option=value`; `single:rna` names its modality, then `,models=`.

    Raises:
        ValueError: an unknown recipe or option (with the nearest known one), or a value of the wrong type.
    """
    name, options = name_and_options(text)
    cls = recipe_class(name)
    known = {field.name: field.default for field in fields(cls)}
    return cls(**read_options(options, known, f"recipe '{name}'", ROWS[name].leads if name in ROWS else ""))


def named(recipe: Any) -> Any:
    """A recipe by its name with options, or the recipe itself."""
    return make_recipe(recipe) if isinstance(recipe, str) else recipe


def read_inputs(recipes: Iterable[Any]) -> bool:
    """Whether one of these, by name or as it is, runs an encoder's network and so needs what it reads."""
    return any(getattr(named(recipe), "reads_inputs", False) for recipe in recipes)


def default_recipes(cohort: Cohort) -> list[Any]:
    """What a trial without a list tries: the recipes that the catalogue says so of and that support the cohort."""
    recipes = [make_recipe(name) for row in ROWS.values() for name in row.tried]
    return [recipe for recipe in recipes if supported(recipe, cohort)]


def companions(cohort: Cohort) -> list[Any]:
    """What stands in every trial: each modality alone, and `presence`."""
    recipes = [RECIPES["single"](name) for name in cohort.modalities] + [RECIPES["presence"]()]
    return [recipe for recipe in recipes if supported(recipe, cohort)]


def for_trial(recipes: Iterable[str | Any] | None, cohort: Cohort) -> tuple[list[Any], list[Any]]:
    """The recipes of a trial, and the one-modality forms that it may add by itself.

    Each modality alone and `presence` come first in every list; `best-available` and `null` are composed by the trial
    and need not be named. The forms are those of the recipes that the trial chose itself, and of recipe objects of
    somebody else, which know nothing of forms.

    Raises:
        Unsupported: a recipe that was asked for does not support the cohort, or none does.
    """
    asked = None if recipes is None else [named(r) for r in recipes if not (isinstance(r, str) and r in REFERENCES)]
    listed = resolve(asked, cohort) if asked is None or asked else []
    given = {recipe.name for recipe in listed}
    listed = [recipe for recipe in companions(cohort) if recipe.name not in given] + listed
    if not listed:
        for name in cohort.modalities:
            RECIPES["single"](name).supports(cohort)
        raise Unsupported("no recipe supports this cohort")
    given = {recipe.name for recipe in listed}
    forms: dict[str, Any] = {}
    for recipe in listed:
        if not hasattr(recipe, "alone") and len(reads_of(recipe, cohort)) > 1:
            made: list[Any] = [Form(recipe, name) for name in reads_of(recipe, cohort)]
        else:
            made = [make_recipe(name) for name in forms_of(recipe, cohort)] if asked is None else []
        forms |= {form.name: form for form in made if form.name not in given and supported(form, cohort)}
    return listed, list(forms.values())


def names_in_trial(recipes: Iterable[str | Any] | None, cohort: Cohort) -> list[str]:
    """The names of the recipes that a trial of these holds, with those that it adds by itself."""
    chosen, forms = for_trial(recipes, cohort)
    return [*(recipe.name for recipe in (*chosen, *forms)), *REFERENCES]


def supported(recipe: Any, cohort: Cohort) -> bool:
    """Whether the recipe can be fitted on the cohort."""
    try:
        recipe.supports(cohort)
    except Unsupported:
        return False
    return True


def resolve(recipes: Iterable[Any] | None, cohort: Cohort) -> list[Any]:
    """Names, recipe objects or None (the default ones) to recipes that support the cohort.

    Raises:
        Unsupported: a recipe that was asked for does not, or none does.
    """
    chosen = [*companions(cohort), *default_recipes(cohort)] if recipes is None else [named(r) for r in recipes]
    for recipe in chosen:
        try:
            recipe.supports(cohort)
        except Unsupported as error:
            raise Unsupported(f"recipe '{recipe.name}': {error}") from error
    if not chosen:
        for name in cohort.modalities:
            RECIPES["single"](name).supports(cohort)
        raise Unsupported("no recipe supports this cohort")
    return chosen


def list_recipes() -> pd.DataFrame:
    """One row a recipe: name, family, paper, needs, options with their defaults, whether a trial tries it unasked."""
    rows = []
    for name, cls in {**RECIPES, **others()}.items():
        leads = ROWS[name].leads if name in ROWS else ""
        options = ", ".join(f"{f.name}={f.default}" for f in fields(cls) if f.name != leads)
        row = {"name": f"{name}:<{leads}>" if leads else name, "family": cls.family, "paper": str(cls.paper)}
        rows.append(
            {**row, "needs": cls.needs, "options": options, "by_default": name in ROWS and ROWS[name].by_default}
        )
    return pd.DataFrame(rows)
