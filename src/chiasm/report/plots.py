"""Pictures of a trial, one by one: as matplotlib axes for a notebook, or as files for a paper."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.artifact import whole_file
from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial, TrialError
from chiasm.fitting.sides import REFERENCE, side_of
from chiasm.metrics.scores import PRIMARY
from chiasm.report.calibration import calibration_part
from chiasm.report.channels import channels_part
from chiasm.report.cohort import draw_patterns
from chiasm.report.collected import CollectedPart, collected_part
from chiasm.report.contrasts import contrast_rows, draw_contrasts
from chiasm.report.decisions import decisions_part
from chiasm.report.drawing import FORMATS, NewSheet, Picture, open_sheet, own_sheet
from chiasm.report.flow import draw_flow
from chiasm.report.interaction import interaction_part
from chiasm.report.measures import is_reference
from chiasm.report.not_at_random import not_at_random_part
from chiasm.report.patterns import patterns_part
from chiasm.report.recipes import Best, best_of, draw_forest
from chiasm.report.risk_groups import risk_part
from chiasm.report.sites import sites_part
from chiasm.report.stressed import StressedPart, stressed_part
from chiasm.report.subgroups import subgroups_part
from chiasm.report.tuning import tuning_part
from chiasm.report.wording import metric_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OF_DOCUMENT = ("sites", "decisions", "subgroups", "channels", "interaction", "not_at_random", "collected", "stressed")


@dataclass(frozen=True)
class Plots:
    """The pictures of a trial's page, each drawn into a figure of its own.

    Every method returns matplotlib axes; `axes.figure.savefig(...)` stores what was drawn. No single patient is drawn:
    calibration and survival are of groups of five or more.

    Raises:
        TrialError: the trial has nothing to draw there, or no such recipe.
    """

    trial: Trial

    def __repr__(self) -> str:
        return f"Plots({', '.join(self.drawable)})"

    def forest(self) -> Axes:
        """Draw the primary metric of every recipe with its 95 % interval."""
        return self._axes("forest")[0]

    def contrasts(self) -> Axes:
        """Draw the verdict: the gain in all, by coverage and by combining, against zero and the margin."""
        return self._axes("contrasts")[0]

    def upset(self) -> Axes:
        """Draw how many patients have which modalities (an UpSet plot); returns the axes of the patterns' sizes."""
        return self._axes("upset")[0]

    def patterns(self, *recipes: str) -> Axes:
        """Draw the primary metric within each pattern of modalities, for these recipes, by default the best of a side.

        Args:
            recipes: one recipe, or two.
        """
        if len(recipes) > 2:
            raise TrialError("the patterns of two recipes can be drawn side by side, and not of more")
        return self._axes("patterns", recipes)[0]

    def calibration(self, *recipes: str) -> list[Axes]:
        """Draw predicted against observed in groups of patients, one axes a recipe; else the best of each side."""
        return list(self._axes("calibration", recipes))

    def kaplan_meier(self, recipe: str | None = None) -> Axes:
        """Draw survival, or the incidence of the main of several causes, by thirds of the predicted risk.

        Of the best combined recipe unless one is named.
        """
        return self._axes("kaplan_meier", () if recipe is None else (recipe,))[0]

    def sites(self) -> Axes:
        """Draw the primary metric of the first pick at each site, their mean, and where a new site would lie."""
        return self._axes("sites")[0]

    def decisions(self) -> list[Axes]:
        """Draw the net benefit of the picks against the threshold, one axes an outcome."""
        return list(self._axes("decisions"))

    def channels(self) -> Axes:
        """Draw how many channels of a response have which R2, and what repetitions say of them could be explained."""
        return self._axes("channels")[0]

    def subgroups(self) -> Axes:
        """Draw the primary metric of the first pick in each level of the declared subgroups."""
        return self._axes("subgroups")[0]

    def flow(self) -> Axes:
        """Draw the way of the patients from their table into the folds, and who was left out on it."""
        return self._axes("flow")[0]

    def tuning(self) -> Axes:
        """Draw the mean inner score of every setting that tuned recipes tried, those that were picked filled."""
        return self._axes("tuning")[0]

    def interaction(self) -> Axes:
        """Draw what each two modalities tell of the outcome, where `Interaction.keep` has put it into the folder."""
        return self._axes("interaction")[0]

    def not_at_random(self) -> list[Axes]:
        """Draw contrast and metric against delta, where `NotAtRandom.keep` has put them into the folder."""
        return list(self._axes("not_at_random"))

    def collected(self) -> list[Axes]:
        """Net gain of each modality with a price, for what patients have; of `full_report`, with `worth` or prices."""
        return list(self._axes("collected"))

    def stressed(self) -> list[Axes]:
        """The metric, and the share explained, against the level of each fault; of `full_report`."""
        return list(self._axes("stressed"))

    @property
    def drawable(self) -> tuple[str, ...]:
        """Names of the pictures that this trial may have."""
        document = self.trial.document
        there = {
            "kaplan_meier": self.trial.target.has_times, "flow": document.get("description"),
            "tuning": any("tuning" in fold for row in document["recipes"] for fold in row["folds"]),
            **{name: document.get(name) for name in OF_DOCUMENT},
        }  # fmt: skip
        return tuple(name for name in _DRAWN if there.get(name, True))

    def save(self, folder: Path | str, formats: Sequence[str] = ("svg",)) -> list[Path]:
        """Write every picture that the trial has into a folder, as `forest.svg` and so on; older ones are replaced.

        Args:
            folder: made where it does not exist.
            formats: any of "svg", "pdf" and "png" (300 dots per inch).

        Raises:
            ValueError: a format is not known.
        """
        unknown = [name for name in formats if name not in FORMATS]
        if unknown or not formats:
            what = f"'{unknown[0]}' is no format of a picture" if unknown else "no format of a picture is named"
            raise ValueError(f"{what}: choose among {', '.join(FORMATS)}")
        written = []
        for name, drawn in self._drawn():
            for kind in dict.fromkeys(formats):
                file = Path(folder) / f"{name.replace('_', '-')}.{kind}"
                file.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(file) as staging:
                    staging.write_bytes(drawn.stored(kind))
                written.append(file)
        return written

    def _axes(self, name: str, recipes: Sequence[str] = ()) -> tuple[Axes, ...]:
        if "ipykernel" in sys.modules:  # its first figure sets up how figures are shown, which `style` would take back
            from matplotlib import pyplot

            pyplot.close(pyplot.figure())
        drawn = _DRAWN[name](self.trial, self._shown(recipes), open_sheet)
        if isinstance(drawn, str):
            raise TrialError(f"there is nothing to draw: {drawn}")
        return drawn.axes

    def _drawn(self) -> Iterator[tuple[str, Picture]]:
        best = best_of(self.trial)
        for name in self.drawable:
            drawn = _DRAWN[name](self.trial, best, own_sheet)
            if isinstance(drawn, Picture):
                yield name, drawn

    def _shown(self, recipes: Sequence[str]) -> list[Best]:
        rows = {row["name"]: row for row in self.trial.document["recipes"]}
        unknown = [name for name in recipes if name not in rows]
        if unknown:
            raise TrialError(f"'{unknown[0]}' is no recipe of this trial: there are {', '.join(rows)}")
        named = [(REFERENCE if is_reference(rows[name]) else side_of(rows[name]), name) for name in recipes]
        return [Best(side, name, "named") for side, name in dict.fromkeys(named)] or best_of(self.trial)


def _forest(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    return draw_forest(trial, new)


def _contrasts(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    if trial.verdict is None:
        return "the trial has no verdict"
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    drawn = draw_contrasts(contrast_rows(trial, trial.verdict), trial.verdict.margin, label, new=new)
    return drawn or "no contrast has an interval"


def _upset(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    cohort = trial.document["cohort"]
    return draw_patterns(cohort["patterns"], cohort["modalities"], new)


def _patterns(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = patterns_part(trial, best, new)
    return part.picture or ("in no pattern the metric can be estimated" if part.rows else "there is one pattern only")


def _calibration(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = calibration_part(trial, best, new)
    lacking = f"no probabilities at a horizon are predicted by {', '.join(one.name for one in best)}"
    return part.picture or (lacking if trial.target.has_times else part.said)


def _kaplan_meier(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    if not trial.target.has_times:
        return f"a target of kind {trial.kind} has no survival curves"
    return (
        risk_part(trial, best[0], new).picture or f"the risks do not split the patients into groups of {LEAST} or more"
    )


def _sites(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = sites_part(trial, new)
    if part is None:
        return "the folds were not drawn by site"
    return part.picture or "too few sites have an interval"


def _decisions(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = decisions_part(trial, new)
    return (part and part.picture) or "no outcome has enough cases to decide on"


def _subgroups(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = subgroups_part(trial, new)
    if part is None:
        return "the cohort declares no subgroups"
    return part.picture or "every subgroup has too few patients or events"


def _channels(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = channels_part(trial, new)
    return "the target has no channels" if part is None else part.picture


def _flow(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    return draw_flow(trial, new) if trial.document.get("description") else "the trial was run before it was counted"


def _tuning(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = tuning_part(trial, new)
    return "no recipe was tuned" if part is None else part.picture


def _picture_of(part: CollectedPart | StressedPart | None) -> Picture | str:
    return (part and part.picture) or "the folder keeps none: chiasm evaluate --full-report asks for it"


def _interaction(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = interaction_part(trial, new)
    return (part and part.picture) or "the folder keeps none, or one of too few patients: chiasm interaction --keep"


def _not_at_random(trial: Trial, best: Sequence[Best], new: NewSheet) -> Picture | str:
    part = not_at_random_part(trial, new)
    return (part and part.picture) or "the folder keeps none of this trial: chiasm not-at-random --keep"


_DRAWN: dict[str, Callable[[Trial, Sequence[Best], NewSheet], Picture | str]] = {
    "contrasts": _contrasts,
    "forest": _forest,
    "upset": _upset,
    "patterns": _patterns,
    "calibration": _calibration,
    "kaplan_meier": _kaplan_meier,
    "sites": _sites,
    "decisions": _decisions,
    "subgroups": _subgroups,
    "channels": _channels,
    "flow": _flow,
    "tuning": _tuning,
    "interaction": _interaction,
    "not_at_random": _not_at_random,
    "collected": lambda trial, best, new: _picture_of(collected_part(trial, new)),
    "stressed": lambda trial, best, new: _picture_of(stressed_part(trial, new)),
}
