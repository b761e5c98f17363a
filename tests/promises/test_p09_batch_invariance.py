"""P9: predict(batch)[i] == predict([i]), with mixed patterns and ragged bags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.testing.cohorts import Parts
from molecule_cohorts import WORDS
from small_recipes import (
    FEW,
    NEEDS,
    at_night,
    elsewhere,
    every_variant,
    fitted,
    on_disk,
    on_paths,
    parts,
    parts_for,
    short_name,
)

TOLERANCE = 1e-6  # what changed batch shapes cost in float32


# With the other kinds of target and bags of up to five tokens `check_recipe` holds it.
@pytest.fixture(scope="module", params=["classification", *at_night("survival")])
def cohort(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    """Bags of 1 to 90 tokens in .npy files, every pattern of modalities."""
    made = parts(request.param)
    rng = np.random.default_rng(0)
    lengths = rng.permutation(np.geomspace(1, 90, len(made.values["m3"])).astype(int))
    for (patient, bag), length in zip(made.values["m3"].items(), lengths, strict=True):
        made.values["m3"][patient] = bag.mean(0) + rng.normal(size=(length, bag.shape[1])).astype(np.float32)
    folder: Path = tmp_path_factory.mktemp("ragged") / "cohort"
    opened = chiasm.open_cohort(on_disk(folder, made))
    found = opened.raw("m3").lengths
    assert found.min() == 1 and found.max() == 90
    return opened


def alone_as_together(recipe: Any, cohort: chiasm.Cohort) -> None:
    """Each patient is predicted in a batch of all, of half of them, and alone."""
    new = np.arange(len(cohort)) % 4 == 0
    model = recipe.fit(cohort.subset(~new), seed=0)
    tested = cohort.subset(new)
    assert len(set(tested.pattern())) == 7
    together = model.predict(tested)
    values = together.drop(columns="pattern")
    scale = max(1.0, float(values.abs().to_numpy().max()))
    halves = [tested.subset(np.arange(len(tested)) % 2 == k) for k in range(2)]
    for part in [*halves, *(tested.subset([row]) for row in range(len(tested)))]:
        frame = model.predict(part)
        own = together.loc[frame.index]
        assert list(own["pattern"]) == list(frame["pattern"])
        gap = (own.drop(columns="pattern") - frame.drop(columns="pattern")).abs().to_numpy().max() / scale
        assert gap <= TOLERANCE, (list(frame["pattern"])[:1], gap)


@pytest.mark.parametrize("recipe", on_paths(every_variant(), FEW), ids=short_name)
def test_a_patient_alone_is_predicted_as_in_any_batch(recipe: Any, cohort: chiasm.Cohort) -> None:
    alone_as_together(recipe, cohort)


@pytest.mark.parametrize("recipe", on_paths(every_variant(), FEW), ids=short_name)
def test_the_order_of_a_bags_tokens_has_no_meaning(recipe: Any) -> None:
    made = parts("classification")
    model = fitted(recipe, "classification")
    frames = [model.predict(made.cohort())]
    made.values["m3"] = {patient: bag[::-1].copy() for patient, bag in made.values["m3"].items()}
    frames.append(model.predict(made.cohort()))
    numbers = [frame.drop(columns="pattern").to_numpy(float) for frame in frames]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=TOLERANCE)


def ragged(recipe: Any, kind: str) -> Parts:
    """What a recipe that is tried elsewhere needs; molecules of up to 90 atoms, notes of as many words, and bags."""
    made, rng = parts_for(recipe, kind), np.random.default_rng(0)

    def lengths(name: str) -> Iterator[int]:
        return iter(rng.permutation(np.geomspace(1, 90, len(made.values[name])).astype(int)))

    if "drug" in made.values:
        drugs, notes = (made.values[name].copy() for name in ("drug", "note"))
        drugs["smiles"] = ["C" * atoms for atoms in lengths("drug")]
        notes["note"] = [" ".join(rng.choice(WORDS, words)) for words in lengths("note")]
        return replace(made, values={**made.values, "drug": drugs, "note": notes})
    sizes = zip(made.values["m3"], lengths("m3"), strict=True)
    bags = {patient: rng.normal(size=(size, 4)).astype(np.float32) for patient, size in sizes}
    return replace(made, values={**made.values, "m3": bags})


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["classification", "survival"])
@pytest.mark.parametrize("recipe", elsewhere(), ids=short_name)
def test_so_is_one_whose_recipe_needs_molecules_or_a_source(recipe: Any, kind: str) -> None:
    alone_as_together(recipe, ragged(recipe, kind).cohort())


@pytest.mark.nightly
@pytest.mark.parametrize("recipe", [own for own in elsewhere() if "drug" in NEEDS[own.id]], ids=short_name)
def test_the_order_of_a_molecules_atoms_and_of_a_notes_words_has_no_meaning(recipe: Any) -> None:
    """Encoder `words` has no places, and a molecule is the same from whichever atom it is written."""
    made = parts_for(recipe, "classification")
    model, chemistry = fitted(recipe, "classification"), pytest.importorskip("rdkit.Chem")
    frames = [model.predict(made.cohort())]
    drugs, notes = (made.values[name].copy() for name in ("drug", "note"))
    molecules = [chemistry.MolFromSmiles(written) for written in drugs["smiles"]]
    drugs["smiles"] = [chemistry.MolToSmiles(own, rootedAtAtom=own.GetNumAtoms() - 1) for own in molecules]
    notes["note"] = [" ".join(reversed(text.split())) for text in notes["note"]]
    assert not drugs.equals(made.values["drug"])
    frames.append(model.predict(replace(made, values={**made.values, "drug": drugs, "note": notes}).cohort()))
    numbers = [frame.drop(columns="pattern").to_numpy(float) for frame in frames]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=TOLERANCE)
