"""Base class of all built-in recipes: naming with options, checks of the cohort, and the common steps of `fit`."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from chiasm.citation import Citation
from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.cohort.modality_checks import require_clear_columns
from chiasm.compute.isolation import kept_randomness, threads_for
from chiasm.encoders import encoder_of
from chiasm.fitting.chosen import in_own_space, in_own_terms
from chiasm.fitting.model import FittedModel
from chiasm.fitting.option_space import OptionSpace
from chiasm.fitting.row import Row
from chiasm.fitting.text_space import TextSpace
from chiasm.heads.kinds import HEADS
from chiasm.heads.response import Response
from chiasm.linear.loss import NO_TREES
from chiasm.linear.losses import LOSSES
from chiasm.protocols import Predictor

LEAST_PATIENTS = 10


@dataclass(frozen=True)
class Training:
    """Training patients, all with a known outcome and at least one modality, with the arguments of the `fit` call.

    Args:
        cohort: the n patients; `outcome` are theirs.
        target: their target, with its horizons.
        seed, checkpoint, device: as in `BaseRecipe.fit`.
        offset: `(n, K)` link of each patient to which a network's own is added; None: zero.
        space: space of the options, or of the texts, in which a choice or a text is learned; None for other kinds.
        everyone: the n patients and those with a modality whose outcome is not known, without a target, for what is
            learned without an outcome; None where every outcome is known.
    """

    cohort: Cohort
    target: Target
    outcome: Outcome
    seed: int
    checkpoint: Path | None
    device: str
    offset: np.ndarray | None = None
    space: OptionSpace | TextSpace | None = None
    everyone: Cohort | None = None

    @property
    def classes(self) -> int | None:
        """Number of classes or labels; None for other kinds of target."""
        return len(self.target.names) or None

    @property
    def counts(self) -> dict[str, int]:
        """Number of `patients`, and where there are times of the `events` among them, those of the main cause."""
        events = self.outcome.main_event
        return {"patients": len(self.cohort)} | ({} if events is None else {"events": int(events.sum())})

    @property
    def prevalence(self) -> dict[str, float]:
        """Share of each class or label, by name; empty for other kinds of target."""
        if not (self.target.has_classes or self.target.has_labels):
            return {}
        shares = self.target.prior_row(self.outcome, self.target.names, ()).values()
        return {name: float(share) for name, share in zip(self.target.names, shares, strict=True)}

    @property
    def offset_digest(self) -> str:
        """Hash of the offset, by which parts that were learned upon it are remembered; empty without one."""
        return "" if self.offset is None else hashlib.sha256(np.ascontiguousarray(self.offset).tobytes()).hexdigest()

    def file(self, part: str) -> Path | None:
        """Return the file of a part's checkpoint; None if there is no folder for checkpoints."""
        return self.checkpoint / f"{part}.safetensors" if self.checkpoint else None


@dataclass(frozen=True)
class BaseRecipe(ABC):
    """Abstract recipe; a subclass is a frozen dataclass whose fields are the recipe's options.

    A recipe of the catalogue sets `row`, which supplies `id`, `family`, `needs` and `paper`; a recipe from another
    package may set a row of its own or these four attributes.
    """

    row: ClassVar[Row]
    id: ClassVar[str]
    family: ClassVar[str]
    needs: ClassVar[str]
    paper: ClassVar[Citation]
    least_modalities: ClassVar[int] = 2
    has_prior: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        row = cls.__dict__.get("row")
        if row is not None:
            cls.id, cls.family, cls.needs, cls.paper = row.name, row.family, row.needs, row.paper

    @property
    def reads_presence(self) -> bool:
        """True if a prediction may depend on which modalities are present, beyond the content of those present."""
        return False

    @property
    def reads_inputs(self) -> bool:
        """True if the recipe runs an encoder's network, and so needs its inputs instead of stored tokens."""
        return False

    @property
    def least_patients(self) -> int:
        """Return the fewest patients of a fit, and of a modality that is learned from."""
        return LEAST_PATIENTS

    @property
    def settings(self) -> int:
        """Number of settings that inner selection tries (penalties, widths, trees); 1 if nothing is selected."""
        return 1

    @property
    def name(self) -> str:
        """`id` if every option has its default, else `id:option=value,...` in field order."""
        changed = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.default is MISSING or value != field.default:
                changed.append(f"{field.name}={value}")
        return self.id + (":" + ",".join(changed) if changed else "")

    def supports_target(self, target: Target | None) -> None:
        """Raise `Unsupported` if no cohort with such a target can be fitted; asked before anything is encoded."""
        require_target(target)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the target, a modality or an encoder is missing."""
        require(cohort, self.least_modalities)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit on all patients with a known outcome and at least one modality.

        Args:
            seed: seed for splits, initial weights and batches.
            checkpoint: folder from which an interrupted training resumes.
            device: device on which networks are trained.

        Raises:
            ValueError: the seed is below 0.
        """
        if seed < 0:
            raise ValueError(f"the seed is {seed}, and must be 0 or more")
        whole = trainable(cohort, seed, checkpoint, device, self.least_patients)
        training = self.restricted(whole)
        predictor, response = self.in_terms(*self.for_all(whole, training), whole)
        kinds = {name: cohort.kinds[name] for name in self.modalities(training.cohort)}
        scarce = tuple(name for name in cohort.modalities if name not in whole.cohort.modalities)
        target = training.target.stored()
        encodings = {name: cohort.encodings[name] for name in kinds if name in cohort.encodings}
        seen = tuple(name for name in whole.cohort.with_modalities(list(kinds)).patterns()[0].tolist() if name)
        return FittedModel(
            self.name, kinds, predictor, response, target, self.has_prior, scarce, encodings, whole.counts, seen,
            whole.prevalence,
        )  # fmt: skip

    def for_all(self, whole: Training, training: Training) -> tuple[Predictor, Response]:
        """Learn from a part of the training set, as `restricted` gives it, and extend the model to all patients."""
        with kept_randomness(), threads_for(self.multiplications(training.cohort)):
            predictor, response = self.learn(training)
        return self.completed(whole, training, predictor, response)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that the model reads."""
        return cohort.modalities

    def restricted(self, training: Training) -> Training:
        """Return the part of the training set to learn from; all of it unless a recipe overrides this."""
        return training

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Extend a model learned on part of the training set to all patients; unchanged unless a recipe overrides."""
        return predictor, response

    def in_terms(self, predictor: Predictor, response: Response, whole: Training) -> tuple[Predictor, Response]:
        """Extend what was learned in a space of options or texts to them; a recipe that says them itself overrides."""
        return in_own_terms(predictor, response, whole)

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the names of this recipe's one-modality forms on this cohort; none by default."""
        return ()

    def multiplications(self, cohort: Cohort) -> float:
        """Estimate the multiplications per fitting step, which set the thread count; by default a ridge's Hessian."""
        return len(cohort) * 256.0**2

    @abstractmethod
    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit the predictor, and the response that turns its link into a prediction."""


def trainable(cohort: Cohort, seed: int, checkpoint: Path | None, device: str, least: int = LEAST_PATIENTS) -> Training:
    """Select the patients with a known outcome and a modality; drop modalities that fewer than `least` of them have.

    A survival target without horizons gets the quartiles of these patients' event times.

    Raises:
        Unsupported: no target, fewer than `least` such patients, or no modality that so many of them have.
    """
    if cohort.target is None or cohort.outcome is None:
        raise Unsupported("fitting needs a target: name one in [target], or give target=... to cohort_from_frames")
    require_clear_columns(cohort)
    usable = cohort.outcome.known & cohort.present.any(1)
    count = int(usable.sum())
    if count < least:
        raise Unsupported(f"{count} patients have a known outcome and a modality: at least {least} are needed to fit")
    whole, aside = cohort, ~cohort.outcome.known & cohort.present.any(1)
    if count < len(cohort):
        cohort = cohort.subset(usable)
    plenty = [name for name in cohort.modalities if len(cohort.rows_of(name)) >= least]
    if not plenty:
        raise Unsupported(f"no modality has {least} patients in this training set: there is too little to fit")
    if len(plenty) < len(cohort.modalities):
        return trainable(whole.with_modalities(plenty), seed, checkpoint, device, least)
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None  # a subset keeps them
    everyone = whole.subset(usable | aside).with_target(None, None) if aside.any() else None
    horizons = target.with_horizons(outcome)
    return in_own_space(Training(cohort, horizons, outcome, seed, checkpoint, device, everyone=everyone))


def require(cohort: Cohort, modalities: int) -> None:
    """Check that the cohort has a target that can be learned, enough modalities, and an encoder for each.

    Raises:
        Unsupported: one of these is missing; the message says which and what to do.
    """
    require_target(cohort.target)
    if len(cohort.modalities) < modalities:
        raise Unsupported(
            f"needs {modalities} modalities, and the cohort has {len(cohort.modalities)}: add a [modalities.<name>]"
        )
    for name in cohort.modalities:
        encoder_of(cohort, name)


def require_target(target: Target | None) -> None:
    """Check that there is a target, of a kind that can be learned.

    Raises:
        Unsupported: there is none, or it is of no such kind.
    """
    if target is None:
        raise Unsupported("the cohort has no target: name one in [target], or give target=... to cohort_from_frames")
    if target.kind not in HEADS:
        raise Unsupported(f"targets of kind '{target.kind}' cannot be evaluated yet: choose one column as the target")


def require_trees(cohort: Cohort) -> None:
    """Check that trees can be grown for the cohort's kind of target.

    Raises:
        Unsupported: they cannot, as for channels of a response and a choice among each patient's own options.
    """
    if cohort.target is not None and not LOSSES[cohort.target.kind].has_trees:
        raise Unsupported(NO_TREES)


def require_pairs(cohort: Cohort, *, of: NDArray[np.bool_] | None = None, what: str = "two modalities") -> None:
    """Check that ten patients with a known outcome have two modalities or more.

    Args:
        of: `(B,)` bool, the patients who count; None: those who have two.
        what: what these have, in words.

    Raises:
        Unsupported: fewer have.
    """
    several = cohort.present.sum(1) > 1 if of is None else of
    count = int((several if cohort.outcome is None else several & cohort.outcome.known).sum())
    if count < LEAST_PATIENTS:
        raise Unsupported(
            f"{count} patients with a known outcome have {what}, and {LEAST_PATIENTS} are needed to learn what "
            "joins them: late-fusion and lego-merge need no patient with both"
        )


def choice(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise `ValueError` if an option's value is not among the known ones."""
    if value not in known:
        raise ValueError(f"{option}={value!r} is not known: choose one of {', '.join(known)}")
