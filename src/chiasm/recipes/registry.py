"""Registry of recipes by name: built-in ones, and those of other packages by the entry point `chiasm.recipes`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from chiasm.artifact.register import unknown_kinds
from chiasm.cohort import Cohort, Target, Unsupported
from chiasm.cohort.accepted import Finding, settle
from chiasm.encoders.catalogue import import_fitted
from chiasm.errors import nearest
from chiasm.fitting.forms import Form
from chiasm.fitting.sides import REFERENCES, forms_of, reads_of
from chiasm.protocols import (
    BringsAgainst,
    FindsOfCohort,
    NamesAgainst,
    NamesForms,
    Narrows,
    SupportsTarget,
    reads_inputs,
)
from chiasm.recipes.catalogue import RECIPES, ROWS, others
from chiasm.specs import bracketed, full_name, name_and_options, read_options, require_known

if TYPE_CHECKING:  # what is tuned needs models, and a list of recipes does not
    from chiasm.fitting.tuning.recipe import Tuned


def bring(tree: Any) -> None:
    """Import the classes of a stored model: its recipe's module, and other packages' if a kind is still unknown."""
    name = name_and_options(str(tree.get("recipe", "")) if isinstance(tree, dict) else "")[0]
    if name in ROWS:
        _ = RECIPES[name]
    if unknown_kinds(tree):  # a recipe within another one, or a part of another package
        for name in ROWS:
            _ = RECIPES[name]
        others()
        import_fitted()


def recipe_class(name: str) -> Any:
    """Return the class of a recipe; a built-in one is found without importing others.

    Raises:
        ValueError: no recipe has this name; the message gives the nearest known one.
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
    """Build a recipe from `name` or `name:option=value,option=value`; a leading value needs no key, as in `single:rna`.

    An option with several values, `option=[a;b;c]`, or with a range, `option=[1e-4..1e-2 log]`, makes a recipe that
    picks one of them on inner folds; `budget`, `inner` and `stops` then say how (`fitting.tuning`).

    Raises:
        ValueError: an unknown recipe or option (with the nearest known one), or a value of the wrong type.
    """
    name, options = name_and_options(text)
    cls = recipe_class(name)
    known = {field.name: field.default for field in fields(cls)}
    what, leads = f"recipe '{name}'", ROWS[name].leads if name in ROWS else ""
    options, several = bracketed(options, known, what) if "[" in options else (options, {})
    if not several:
        return cls(**read_options(options, known, what, leads))
    from chiasm.fitting.tuning.recipe import SEARCHED, Tuned, tuned
    from chiasm.fitting.tuning.space import Listed, read_space

    searched = {own.name: own.default for own in fields(Tuned) if own.name in SEARCHED and own.name not in known}
    given = read_options(options, {**known, **searched}, what, leads)
    twice = [option for option in several if option in given]
    if twice:
        raise ValueError(f"option '{twice[0]}' of {what} is given twice")
    space = read_space(several, known, what)
    first = {axis.option: axis.values[0] for axis in space.axes if isinstance(axis, Listed)}
    plain = {option: value for option, value in given.items() if option in known}
    needed = {option: value for option, value in first.items() if known[option] is MISSING}
    try:
        base = cls(**plain, **needed)
    except ValueError:  # what is given stands only with a value that is tuned
        base = cls(**plain, **first)
    return tuned(base, space, **{option: value for option, value in given.items() if option not in known})


def with_space(recipe: Any, space: Mapping[str, Any], **how: Any) -> Tuned:
    """Tune a recipe, a name or an object, over the options of `space`; `how` is passed on to `tuned`.

    Raises:
        ValueError: an unknown option, a space with nothing in it, a value that the recipe refuses.
    """
    from chiasm.fitting.tuning.recipe import Tuned, tuned
    from chiasm.fitting.tuning.space import read_space

    base = named(recipe)
    if isinstance(base, Tuned):
        raise ValueError(f"recipe '{base.name}' is tuned already: name the options either in it or in the space")
    has_options = is_dataclass(base)
    if not has_options:
        raise ValueError(f"recipe '{base.name}' is no dataclass, whose fields could be tuned as its options")
    known, what = {field.name: field.default for field in fields(base)}, f"recipe '{base.name}'"
    asked = {full_name(option, known): own for option, own in space.items()}
    for option in asked:
        require_known(option, known, what)
    if len(asked) < len(space):
        raise ValueError(f"the space of {what} names an option twice, by its short name and by its long one")
    return tuned(base, read_space(asked, known, what), **how)


def named(recipe: Any) -> Any:
    """Build a recipe from its name with options; return a recipe object unchanged."""
    return make_recipe(recipe) if isinstance(recipe, str) else recipe


def require_target(recipes: Iterable[Any], target: Target | None) -> None:
    """Refuse, before anything is encoded, recipes that can learn no such target, whatever the modalities.

    A recipe of another package is not asked unless it has a `supports_target`.

    Raises:
        Unsupported: a recipe cannot.
    """
    for recipe in map(named, recipes):
        try:
            if isinstance(recipe, SupportsTarget):
                recipe.supports_target(target)
        except Unsupported as error:
            raise Unsupported(f"recipe '{recipe.name}': {error}") from error


def read_inputs(recipes: Iterable[Any]) -> bool:
    """True if one of these recipes (names or objects) runs an encoder's network and so needs the encoder's inputs."""
    return any(reads_inputs(named(recipe)) for recipe in recipes)


def default_recipes(cohort: Cohort) -> list[Any]:
    """Return the recipes of a trial without an explicit list: the catalogue's defaults that support the cohort."""
    recipes = [make_recipe(name) for row in ROWS.values() for name in row.tried]
    return [recipe for recipe in recipes if supported(recipe, cohort)]


def always(cohort: Cohort) -> list[Any]:
    """Return the recipes that belong to every trial, whatever is listed: each modality alone, and `presence`."""
    rows = [row for row in ROWS.values() if row.always]
    alone = [RECIPES[row.name](**{row.leads: name}) for row in rows if row.leads for name in cohort.modalities]
    return alone + [RECIPES[row.name]() for row in rows if not row.leads]


def companions(cohort: Cohort) -> list[Any]:
    """Return the recipes of every trial that support the cohort."""
    return [recipe for recipe in always(cohort) if supported(recipe, cohort)]


def require_any(recipes: Sequence[Any], cohort: Cohort) -> None:
    """Raise `Unsupported` if there is no recipe, with what the recipes of every trial lack."""
    if not recipes:
        for recipe in always(cohort):
            if reads_of(recipe, cohort):
                recipe.supports(cohort)
        raise Unsupported("no recipe supports this cohort")


def found_by(recipes: Iterable[Any], cohort: Cohort) -> list[Finding]:
    """Return what recipes find that is to be said of a cohort before a trial, each once, with why it is accepted."""
    found = [own for recipe in recipes if isinstance(recipe, FindsOfCohort) for own in recipe.findings(cohort)]
    return settle(list(dict.fromkeys(found)), cohort.accepted)


def for_trial(recipes: Iterable[str | Any] | None, cohort: Cohort) -> tuple[list[Any], list[Any]]:
    """Return the recipes of a trial, and the one-modality forms that it may add.

    Each modality alone and `presence` come first unless they are listed; `best-available` and `null` are built by the
    trial and need not be named. A recipe that asks to be compared with another brings that one. Forms are added for the
    default recipes of a trial without a list, and for third-party recipe objects that define no forms.

    Raises:
        Unsupported: a requested recipe does not support the cohort, or none does.
    """
    asked = None if recipes is None else [named(r) for r in recipes if not (isinstance(r, str) and r in REFERENCES)]
    listed = resolve(asked, cohort) if asked is None or asked else []
    given = {recipe.name for recipe in listed}
    listed = [recipe for recipe in companions(cohort) if recipe.name not in given] + listed
    require_any(listed, cohort)
    given = {recipe.name for recipe in listed}
    brought = {own.against: own for own in listed if isinstance(own, NamesAgainst) and own.against not in ("", *given)}
    for name, own in brought.items():
        listed.append(own.compared_with if isinstance(own, BringsAgainst) else make_recipe(name))
    given = {recipe.name for recipe in listed}
    forms: dict[str, Any] = {}
    for recipe in listed:
        if not isinstance(recipe, NamesForms) and len(reads_of(recipe, cohort)) > 1:
            made: list[Any] = [
                Form(recipe.on(name) if isinstance(recipe, Narrows) else recipe, name)
                for name in reads_of(recipe, cohort)
            ]
        else:
            made = [make_recipe(name) for name in forms_of(recipe, cohort)] if asked is None else []
        forms |= {form.name: form for form in made if form.name not in given and supported(form, cohort)}
    return listed, list(forms.values())


def compared(recipes: Iterable[Any]) -> list[tuple[str, str]]:
    """Return the pairs of a recipe and the one with which it asks to be compared, by name."""
    return [(recipe.name, recipe.against) for recipe in recipes if isinstance(recipe, NamesAgainst) and recipe.against]


def names_in_trial(recipes: Iterable[str | Any] | None, cohort: Cohort) -> list[str]:
    """Return the names of all recipes in a trial of these, including those that the trial adds."""
    chosen, forms = for_trial(recipes, cohort)
    return [*(recipe.name for recipe in (*chosen, *forms)), *REFERENCES]


def supported(recipe: Any, cohort: Cohort) -> bool:
    """True if the recipe can be fitted on the cohort."""
    try:
        recipe.supports(cohort)
    except Unsupported:
        return False
    return True


def resolve(recipes: Iterable[Any] | None, cohort: Cohort) -> list[Any]:
    """Turn names, recipe objects or None (the default recipes) into recipes that support the cohort.

    Raises:
        Unsupported: a requested recipe does not support the cohort, or none does.
    """
    chosen = [*companions(cohort), *default_recipes(cohort)] if recipes is None else [named(r) for r in recipes]
    for recipe in chosen:
        try:
            recipe.supports(cohort)
        except Unsupported as error:
            raise Unsupported(f"recipe '{recipe.name}': {error}") from error
    require_any(chosen, cohort)
    return chosen
