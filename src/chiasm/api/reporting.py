"""Public functions that write what a paper needs of a trial: the supplement, the methods, the guidelines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chiasm.evaluation import Trial

if TYPE_CHECKING:
    from chiasm.api.explaining import Explanation
    from chiasm.protocols import Model


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

    file = Path(path)
    if file.suffix.lower() != ".xlsx":
        raise ValueError(f"'{file.name}' must end in .xlsx: the supplement is a spreadsheet")
    return written(trial, file)


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
    from chiasm.report.methods import write_methods as written

    return written(trial, _markdown(path, "the methods are"))


def write_guidelines(trial: Trial, path: Path | str) -> Path:
    """Write every item of TRIPOD+AI and the domains of PROBAST+AI, filled in as far as the trial knows them.

    What a trial cannot know is marked NEEDS INPUT, with what to write.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the Markdown file; it is written whole or not at all, and replaces an older one.

    Raises:
        ValueError: the name does not end in `.md`.
    """
    from chiasm.report.guideline_file import write_guidelines as written

    return written(trial, _markdown(path, "the guidelines are"))


def keep_guidelines(trial: Trial, path: Path, earlier: Trial | None = None) -> bool:
    """Write the guidelines, unless a file is there that this program would not have written: authors complete it.

    Args:
        earlier: the trial before it was scored elsewhere, whose guidelines may be replaced too.

    Returns:
        False where the file was left as it is.
    """
    from chiasm.report.guideline_file import guidelines_text

    if path.exists():
        expected = [guidelines_text(own).encode() for own in (trial, earlier) if own is not None]
        if path.read_bytes() not in expected:
            return False
    write_guidelines(trial, path)
    return True


def left_as_it_is(path: Path) -> str:
    """Say that a file which somebody completed was not written again."""
    return f"{path} differs from what would be written and is left as it is; move it away to have it written again"


def _markdown(path: Path | str, what: str) -> Path:
    file = Path(path)
    if file.suffix.lower() != ".md":
        raise ValueError(f"'{file.name}' must end in .md: {what} written in Markdown")
    return file


def keep_card(model: Path, path: Path, trial: Trial) -> bool:
    """Write the card of a model folder with a trial, unless another text is there; False where it was left as it is."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        written = write_card(model, Path(folder) / path.name, trial)
        if path.exists() and path.read_bytes() != written.read_bytes():
            return False
    write_card(model, path, trial)
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
    from chiasm.api.models import load_model
    from chiasm.report.model_card import write_card as written

    file = _markdown(path, "a card is")
    fitted = load_model(model) if isinstance(model, Path | str) else model
    return written(fitted, file, trial, None if explanation is None else explanation.summary)  # type: ignore[arg-type]
