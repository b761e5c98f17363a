"""`flora`: federated LoRA simulated in one process over the sites in `cohort.site`, so that trials can include it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from chiasm.adapters.peft_families import peft
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import LEAST_PATIENTS, BaseRecipe, Training, choice, trainable
from chiasm.fitting.model import FittedModel
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion.healnet import HealNetRecipe
from chiasm.recipes.fusion.lego_fuse import LegoFuseRecipe
from chiasm.recipes.hospitals import ROWS
from chiasm.recipes.hospitals.federation import (
    DRAWN,
    LEAST_CLIENTS,
    NO_SHARED_SPACE,
    Participant,
    Plan,
    State,
    finished,
    network_of,
)

BASES = {"healnet": HealNetRecipe, "lego-fuse": LegoFuseRecipe}


@dataclass(frozen=True)
class Flora(OneOrAll):
    """Federated LoRA: the largest hospital fits the base alone; then all train adapters, which are summed exactly.

    The result is bitwise that of `chiasm federate`, except for the hospital names that enter its seeds.

    Args:
        modality: the one modality to read; empty: all.
        base: recipe of the base: healnet or lego-fuse.
        latents, latent_width, depth, heads, base_epochs: sizes and epochs of the base.
        hospitals: 0: each site of ten patients or more is a hospital, and the smaller sites together are one; else the
            number of hospitals, to which sites are assigned largest first, each to the hospital with fewest patients.
        aggregation: flora, or the controls fedavg and zero-pad.
        ranks: adapter ranks of the hospitals, largest hospital first, repeated in turn, as in 8/4/2.
        rounds, epochs, weights: rounds, epochs per round and hospital weights, as in `Plan`.
        batch, learning_rate, weight_decay, modality_dropout: training options of each hospital.
    """

    base: str = "healnet"
    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    base_epochs: int = 40
    hospitals: int = 0
    aggregation: str = "flora"
    ranks: str = "4"
    rounds: int = 5
    epochs: int = 3
    weights: str = "patients"
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.1

    row: ClassVar[Row] = ROWS["flora"]

    def __post_init__(self) -> None:
        choice("base", self.base, tuple(BASES))
        if self.hospitals < 0 or self.hospitals == 1:
            raise ValueError("hospitals is 0, for every site, or two and more")
        if not all(part.isdecimal() and int(part) >= 1 for part in self.ranks.split("/")):
            raise ValueError(f"ranks={self.ranks!r} is not known: write one whole number, or several as in 8/4/2")
        self.plan(0)
        self.base_recipe  # noqa: B018 (the base refuses invalid sizes)
        if max(self.all_ranks) > self.latent_width:
            raise ValueError(f"ranks={self.ranks!r}: a network of width {self.latent_width} has no room for them")
        if self.aggregation == "fedavg" and len(set(self.all_ranks)) > 1:
            raise ValueError(f"ranks={self.ranks!r}: fedavg needs equal ranks")

    @property
    def all_ranks(self) -> list[int]:
        """Adapter ranks, assigned to the hospitals in turn."""
        return [int(part) for part in self.ranks.split("/")]

    @property
    def base_recipe(self) -> BaseRecipe:
        """Recipe of the base, which the largest hospital trains first."""
        made: BaseRecipe = BASES[self.base](
            latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            epochs=self.base_epochs,
        )  # fmt: skip
        return made

    def plan(self, seed: int) -> Plan:
        """Return the federation plan shared by the hospitals."""
        return Plan(
            self.aggregation, self.rounds, self.all_ranks[0], self.weights, self.epochs, self.batch,
            self.learning_rate, self.weight_decay, self.modality_dropout, seed,
        )  # fmt: skip

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit as other recipes; modalities that the base's hospital lacks are recorded as `scarce`."""
        model = super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device)
        lacking = tuple(name for name in self.read(cohort).modalities if name not in model.modalities)
        return replace(model, scarce=lacking)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if there are fewer than two hospitals or peft is not installed."""
        if cohort.target is not None and cohort.target.has_masks:
            raise Unsupported(DRAWN)
        super().supports(cohort)
        if cohort.target is not None and not cohort.target.has_level:
            raise Unsupported(NO_SHARED_SPACE)
        self.hospital_rows(self._named(cohort))
        self.modalities(cohort)
        peft()

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that the base's hospital has enough patients of."""
        own = self._named(cohort)
        return trainable(own.subset(self._hospitals(own)[0]), 0, None, "cpu").cohort.modalities

    def _named(self, cohort: Cohort) -> Cohort:
        """Return what this recipe reads: with `modality` the patients who have it."""
        own = self.read(cohort)
        return own.subset(own.rows_of(self.modality)) if self.modality else own

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the base at the largest hospital, then train and aggregate the adapters of all round by round.

        A hospital of under ten patients with something that the base reads takes no part, as in a fold of a trial;
        where only one is left, the base is the model, since there is nobody to sum with.
        """
        plan, parts = self.plan(training.seed), self._hospitals(training.cohort)
        folder = training.checkpoint
        base = self.base_recipe.fit(
            training.cohort.with_target(training.target, training.outcome).subset(parts[0]), seed=training.seed,
            checkpoint=folder / "base" if folder else None, device=training.device,
        )  # fmt: skip
        read = np.asarray(training.cohort.with_modalities(list(base.modalities)).present.any(1))
        able = [int(read[rows].sum()) >= LEAST_PATIENTS for rows in parts]
        if sum(able) < LEAST_CLIENTS:
            return replace(network_of(base), notes={"hospitals": float(sum(able))}), base.response
        ranks = self.all_ranks
        hospitals = [
            Participant(
                base, training.cohort.subset(rows), plan, ranks[number % len(ranks)], f"hospital-{number + 1}",
                training.device,
            )
            for number, rows in enumerate(parts)
            if able[number]
        ]  # fmt: skip
        updates: list[State] = []
        for number in range(1, plan.rounds + 1):
            adapters = [hospital.train(number) for hospital in hospitals]
            updates.append(plan.put_together(adapters, [hospital.patients for hospital in hospitals]))
            for hospital in hospitals:
                hospital.take(updates[-1], number)
        model = finished(base, plan, updates)
        return model.predictor, model.response

    def hospital_rows(self, cohort: Cohort) -> list[np.ndarray]:
        """Return the rows of each hospital, largest hospital first.

        Raises:
            Unsupported: the cohort has no sites, or fewer than two hospitals have enough patients.
        """
        held = [rows for rows in self._hospitals(cohort) if len(rows) >= LEAST_PATIENTS]
        if len(held) < LEAST_CLIENTS:
            raise Unsupported(
                f"{len(held)} hospitals of {LEAST_PATIENTS} patients or more: a federation needs {LEAST_CLIENTS}"
            )
        return held

    def _hospitals(self, cohort: Cohort) -> list[np.ndarray]:
        """Return the rows of each hospital, largest first, however few there are: a fold may leave one."""
        if cohort.site is None:
            raise Unsupported("the cohort has no sites: name their column, site = ... in [patients]")
        usable = cohort.present.any(1) if cohort.outcome is None else cohort.outcome.known & cohort.present.any(1)
        usable &= cohort.site != ""  # patients of unknown site are left out
        names, counts = np.unique(cohort.site[usable], return_counts=True)
        order = [int(k) for k in np.argsort(-counts, kind="stable")]
        if self.hospitals:
            held: list[list[int]] = [[] for _ in range(self.hospitals)]
            for k in order:
                min(held, key=lambda own: sum(int(counts[j]) for j in own)).append(k)
        else:
            held = [[k] for k in order if counts[k] >= LEAST_PATIENTS]
            held.append([k for k in order if counts[k] < LEAST_PATIENTS])
        enough = [own for own in held if sum(int(counts[k]) for k in own) >= LEAST_PATIENTS]
        held = enough or [max(held, key=lambda own: sum(int(counts[k]) for k in own))]
        held.sort(key=lambda own: -sum(int(counts[k]) for k in own))
        return [np.flatnonzero(usable & np.isin(cohort.site, names[own])) for own in held]
