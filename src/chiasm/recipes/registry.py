"""Every recipe by name: ours, and those that other packages bring by the entry point `chiasm.recipes`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar

import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.errors import nearest
from chiasm.evaluation.sides import REFERENCES, forms_of, reads_of
from chiasm.recipes.forms import Form


class _Ours(Mapping[str, Any]):
    """Name to class, imported when it is first asked for: encoding needs none of them."""

    places: ClassVar[dict[str, str]] = {
        "single": "single:Single",
        "presence": "presence:Presence",
        "early-fusion": "early:EarlyFusion",
        "late-fusion": "late:LateFusion",
        "stacked-fusion": "stacked:StackedFusion",
        "kron-rls": "kron_rls:KronRLS",
        "healnet": "healnet:HealNetRecipe",
        "lego-merge": "lego_merge:LegoMerge",
        "lego-fuse": "lego_fuse:LegoFuseRecipe",
        "flora": "flora:Flora",
        "wise-ft": "wise_ft:WiseFT",
        "slerp-merge": "slerp_merge:SlerpMerge",
        "breadcrumbs": "breadcrumbs:BreadcrumbsRecipe",
        "portllm": "portllm:PortLLM",
        "probe": "probe:Probe",
        "full-tuning": "full_tuning:FullTuning",
        "lora": "lora:LoRARecipe",
        "ia3": "ia3:IA3Recipe",
        "norm-tuning": "norm_tuning:NormTuningRecipe",
        "prefix": "prefix:PrefixRecipe",
        "ssf": "ssf:ScaleShiftRecipe",
        "dvpt": "dvpt:DynamicPromptRecipe",
        "petl-ast": "petl_ast:PetlAstRecipe",
        "pego": "pego:PegoRecipe",
        "lt-sft": "lt_sft:LotteryTicketRecipe",
        "sara": "sara:SaraRecipe",
        "memcontrol": "memcontrol:MemControlRecipe",
        "unipt": "unipt:UniPTRecipe",
        "prompt-learning": "prompt_learning:PromptLearning",
        "mftcoder": "mftcoder:MFTCoderRecipe",
        "got-d": "got_d:GotD",
        "noise-mask": "noise_mask:NoiseMask",
    }

    def __getitem__(self, name: str) -> Any:
        module, _, cls = self.places[name].partition(":")
        return getattr(import_module(f"chiasm.recipes.{module}"), cls)

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


RECIPES = _Ours()
ALWAYS = ("single", "presence")
"""In every trial, whatever is listed."""


def recipe_classes() -> dict[str, Any]:
    """Name to class, ours first; a third party cannot take one of our names."""
    found = dict(RECIPES)
    for point in entry_points(group="chiasm.recipes"):
        if point.name not in found:
            found[point.name] = point.load()
    return found


def make_recipe(text: str) -> Any:
    """A recipe from `name` or `name:option=value,option=value`; `single:rna` names its modality, then `,models=`.

    Raises:
        ValueError: an unknown recipe or option (with the nearest known one), or a value of the wrong type.
    """
    name, _, options = text.strip().partition(":")
    classes = recipe_classes()
    if name not in classes:
        like = nearest(name, classes)
        raise ValueError(
            f"no recipe is called '{name}': "
            + (f"did you mean '{like}'?" if like else f"there are {', '.join(classes)}")
        )
    if name == "single":
        if not options:
            raise ValueError("single needs a modality, as in 'single:rna'")
        modality, separator, models = options.partition(",models=")
        return RECIPES["single"](modality, **({"models": models} if separator else {}))
    known = {field.name: field for field in fields(classes[name])}
    values: dict[str, Any] = {}
    for part in filter(None, options.split(",")):
        option, separator, value = part.partition("=")
        if option not in known or not separator:
            like = nearest(option, known)
            hint = f"did you mean '{like}'?" if like else f"it has {', '.join(known)}"
            raise ValueError(f"recipe '{name}' has no option '{option}': {hint}")
        values[option] = parse(value, known[option].default, f"option '{option}' of recipe '{name}'")
    return classes[name](**values)


def named(recipe: Any) -> Any:
    """A recipe by its name with options, or the recipe itself."""
    return make_recipe(recipe) if isinstance(recipe, str) else recipe


def read_inputs(recipes: Iterable[Any]) -> bool:
    """Whether one of these, by name or as it is, runs an encoder's network and so needs what it reads."""
    return any(getattr(named(recipe), "reads_inputs", False) for recipe in recipes)


def parse(value: str, default: Any, what: str) -> Any:
    """The text of an option as the type of its default."""
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        found = type(default)(value) if isinstance(default, int | float) else value
    except (ValueError, KeyError) as error:
        raise ValueError(f"{what} is {type(default).__name__}, and {value!r} is not") from error
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{what} is {found}, and must be finite")
    return found


def split_names(text: str) -> list[str]:
    """`a,b:x=1,y=2,c` to `[a, b:x=1,y=2, c]`: a part with `=` and no name belongs to the recipe before it."""
    names: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if names and "=" in part and ":" not in part:
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names


def default_recipes(cohort: Cohort) -> list[Any]:
    """Our recipes `by_default` that support the cohort, `lego-fuse` in both its modes."""
    names = [name for name, cls in RECIPES.items() if name not in ALWAYS and cls.by_default]
    recipes = [RECIPES[name]() for name in names] + [RECIPES["lego-fuse"](mode="weave")]
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
    for name, cls in recipe_classes().items():
        shown = "single:<modality>" if name == "single" else name
        options = ", ".join(f"{f.name}={f.default}" for f in fields(cls) if name != "single")
        row = {"name": shown, "family": cls.family, "paper": str(cls.paper), "needs": cls.needs, "options": options}
        rows.append({**row, "by_default": name in RECIPES and cls.by_default})
    return pd.DataFrame(rows)
