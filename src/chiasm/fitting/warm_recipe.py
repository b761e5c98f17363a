"""Base of recipes whose network may begin with a source's weights, where held-out patients gain by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self, cast

from chiasm.cohort import Cohort
from chiasm.fitting.base import Training
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import (
    Design,
    NetworkPredictor,
    Prepared,
    finish,
    held_out_nll,
    new_network,
    parameter_count,
)
from chiasm.fitting.source_network import Start, networks_of
from chiasm.fitting.warm_start import Candidate, better_start, require_starts
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.training import Network


@dataclass(frozen=True)
class WarmRecipe(NetworkRecipe):
    """Network recipe whose options alone make its design, so that a network of another cohort is one of the same sizes.

    A recipe that learns in a way of its own ends in `trained`, or in `chosen`, where the sources are tried.

    Args:
        warm: train once more, from the weights of each source that is a network of this recipe and these sizes
            (`fitting.source_network`), and keep that where held-out patients gain enough (`fitting.warm_start`).
    """

    warm: bool = False

    @property
    def borrows(self) -> bool:
        """True if a fit reads the sources of a cohort."""
        return self.warm

    @property
    def without_source(self) -> Self:
        """This recipe without a source."""
        return replace(self, warm=False)

    @property
    def plain_name(self) -> str:
        """Name of this recipe without a source."""
        return self.without_source.name

    @property
    def against(self) -> str:
        """Name of the same recipe without a source, with which a trial compares it; "" without `warm`."""
        return self.plain_name if self.warm and not self.modality else ""

    @property
    def compared_with(self) -> Self:
        """The recipe that `against` names."""
        return self.without_source

    def settings_on(self, cohort: Cohort) -> int:
        """Count the settings that are tried on a cohort: those without a source, and one for each source."""
        return self.settings + (len(self.starts(cohort)) if self.warm else 0)

    def fits_source(self, network: NetworkPredictor) -> bool:
        """True if this network may begin one of this recipe: it is of the same kind and sizes."""
        return bool(network.design == self.design())

    def starts(self, cohort: Cohort) -> list[Start]:
        """Return the sources whose weights a network may begin with: those of this design that share a modality."""
        return [own for own in networks_of(self.read(cohort)) if own.shared and self.fits_source(own.network)]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if a source's weights are asked for and there are none that fit."""
        super().supports(cohort)
        if self.warm:
            require_starts(self, self.read(cohort))

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the one-modality forms; without `warm` where no source reads the modality."""
        names = super().alone(cohort)
        if not self.warm:
            return names
        forms = [cast(WarmRecipe, self.reading(name)) for name in self.modalities(cohort)] if names else []
        return tuple((own if own.starts(cohort) else own.without_source).name for own in forms)

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train a network of this design, and with `warm` one from each source; keep the better, and calibrate it."""
        if parameter_count(network):
            self.run(training, data, network, self.phases(data))
        if not self.warm:
            return finish(training, data, network, design)
        begun = self.begun(training, data, design) if data.held_out.any() else []
        return self.chosen(training, self.candidate(training, network, data, design), begun)

    def chosen(
        self, training: Training, fresh: Candidate, begun: list[Candidate], notes: Mapping[str, float] | None = None
    ) -> tuple[Predictor, Response]:
        """Keep the fresh network or one of those from a source, and calibrate it; `notes` are those of the recipe."""
        kept, choice = better_start(fresh, begun)
        told = {**(notes or {}), **choice}
        predictor, response = finish(training, kept.data, kept.network, kept.design, told)
        return replace(predictor, begun_from=kept.source.lineage() if kept.source else ()), response

    def begun(self, training: Training, data: Prepared, design: Design) -> list[Candidate]:
        """Train a network from the weights of each source by the phases of a fresh one."""
        found = []
        for start in self.starts(training.cohort):
            own = start.prepared(data)
            network = new_network(training, own, design, self.dropout)
            copied = start.copied_into(network, training, own, design)
            if parameter_count(network):
                self.run(training, own, network, self.phases(own), start.stage)
            found.append(replace(self.candidate(training, network, own, design, start), copied=copied))
        return found

    def candidate(
        self, training: Training, network: Network, data: Prepared, design: Design, start: Start | None = None
    ) -> Candidate:
        """Return a trained network with its loss, which is no number where nobody is held out."""
        loss = held_out_nll(network, data, training.target.kind) if data.held_out.any() else float("nan")
        return Candidate(network, data, design, loss, source=start.source if start else None)
