"""Public functions that write what a paper needs of a trial: the supplement, the methods, the guidelines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.artifact import write_text
from chiasm.evaluation import Trial

if TYPE_CHECKING:
    from chiasm.api.explaining import Explanation
    from chiasm.protocols import Model

MARKDOWN = ".md", "it is written in Markdown"
SPREADSHEET = ".xlsx", "it is a spreadsheet"
"""Endings of what is written, and why."""


def write_supplement(trial: Trial, path: Path | str) -> Path:
    """Write every table of a trial's page as a spreadsheet, with all measures and folds in full precision.

    The first sheet says what the others hold. Numbers and shares are numbers, an interval has columns of its own, and
    text that a program could take for a formula is stored as text.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the `.xlsx` file; it is written whole or not at all, and replaces an older one.

    Raises:
        ValueError: the name does not end in `.xlsx`.
        ModuleNotFoundError: openpyxl is not installed (`pip install "chiasm[report]"`).
    """
    from chiasm.report.supplement import write_supplement as written

    return written(trial, require_ending(path, *SPREADSHEET))


def write_methods(trial: Trial, path: Path | str) -> tuple[Path, Path]:
    """Write the methods of a paper in plain paragraphs, every figure from the trial, and their references as BibTeX.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the Markdown file, in which `[@key]` cites as pandoc does; the references stand beside it under the same
            name, in `.bib`. Both are written whole or not at all, and replace older ones.

    Returns:
        Both files.

    Raises:
        ValueError: the name does not end in `.md`.
    """
    from chiasm.report.methods import methods_of

    file = require_ending(path, *MARKDOWN)
    made, references = methods_of(trial), file.with_suffix(".bib")
    write_text(references, made.bibliography)
    write_text(file, made.text)
    return file, references


def write_guidelines(trial: Trial, path: Path | str) -> Path:
    """Write every item of TRIPOD+AI and the domains of PROBAST+AI, filled in as far as the trial knows them.

    What a trial cannot know is marked NEEDS INPUT, with what to write.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the Markdown file; it is written whole or not at all, and replaces an older one.

    Raises:
        ValueError: the name does not end in `.md`.
    """
    from chiasm.report.guideline_file import guidelines_text

    file = require_ending(path, *MARKDOWN)
    write_text(file, guidelines_text(trial))
    return file


def keep_guidelines(trial: Trial, path: Path, earlier: Trial | None = None) -> bool:
    """Write the guidelines, unless a file is there that this program would not have written: authors complete it.

    Args:
        earlier: the trial before it was scored elsewhere, whose guidelines may be replaced too.

    Returns:
        False where the file was left as it is.
    """
    from chiasm.report.guideline_file import guidelines_text

    file = require_ending(path, *MARKDOWN)
    return _kept(file, *(guidelines_text(own) for own in (trial, earlier) if own is not None))


def keep_card(model: Path, path: Path, trial: Trial) -> bool:
    """Write the card of a model folder with a trial, unless another text is there; False where it was left as it is."""
    return _kept(path, _card(model, trial))


def left_as_it_is(path: Path) -> str:
    """Say that a file which somebody completed was not written again."""
    return f"{path} differs from what would be written and is left as it is; move it away to have it written again"


def require_ending(path: Path | str, ending: str, why: str) -> Path:
    """Return a file's path, whose name must end so.

    Raises:
        ValueError: it ends otherwise.
    """
    file = Path(path)
    if file.suffix.lower() != ending:
        raise ValueError(f"'{file.name}' must end in {ending}: {why}")
    return file


def _kept(path: Path, text: str, *earlier: str) -> bool:
    """Write a text, unless a file is there that holds neither it nor an earlier one; False where that was left."""
    if path.exists() and path.read_text(encoding="utf-8", errors="replace") not in (text, *earlier):
        return False
    write_text(path, text)
    return True


def write_card(
    model: Model | Path | str,
    path: Path | str,
    trial: Trial | None = None,
    explanation: Explanation | None = None,
) -> Path:
    """Write the card of a model, with what a trial says of its recipe and what each modality brings to its predictions.

    The card of a model folder says what the model reads, whom it learned from and what it is not for. A trial adds the
    scores of its recipe with their calibration, by pattern of modalities and in the subgroups that the cohort declares.

    Args:
        model: a fitted model, or its folder.
        path: the Markdown file; it is written whole or not at all, and replaces an older one.
        trial: of the same cohort, with the recipe of the model among its recipes.
        explanation: of the same model, by `explain`.

    Raises:
        ValueError: the name does not end in `.md`.
        TrialError: the trial is of another target or other modalities, or has no such recipe.
        ArtifactError: the folder holds no model.
    """
    file = require_ending(path, *MARKDOWN)
    write_text(file, _card(model, trial, explanation))
    return file


def _card(model: Model | Path | str, trial: Trial | None = None, explanation: Explanation | None = None) -> str:
    from chiasm.api.models import load_model
    from chiasm.report.model_card import card_text

    fitted = load_model(model) if isinstance(model, Path | str) else model
    summary = None if explanation is None else explanation.summary
    return card_text(fitted, trial, summary)  # type: ignore[arg-type]
