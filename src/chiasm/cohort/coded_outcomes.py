"""Cells of an outcome whose codes have labels: the words that the target understands, or else the codes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from chiasm.cohort.box_files import read_boxes
from chiasm.cohort.mask_files import read_masks
from chiasm.cohort.response_files import read_responses
from chiasm.cohort.tables import Table
from chiasm.cohort.text_files import read_texts
from chiasm.targets import Target
from chiasm.targets.cells import given, label_text


def outcome_cells(patients: Table, target: Target) -> pd.DataFrame:
    """Read the columns of a target.

    Classes are the words of labels. An event, a label or a number is read by its words only where the target
    understands all of them, as `alive` and `dead`; where it does not, as `died of disease`, by its codes.
    """
    frame = patients.frame(list(target.columns))
    if target.has_channels or target.has_classes or target.has_texts:
        return frame
    texts = {name: label_text(frame[name]) for name in frame.columns if name in patients.labelled}
    coded = {
        name: patients.codes(name) for name, text in texts.items() if not target.understands(name, text[given(text)])
    }
    return frame.assign(**{name: own.to_numpy() for name, own in coded.items() if own is not None})


def with_arrays(frame: pd.DataFrame, target: Target, folder: Path | None) -> pd.DataFrame:
    """Put what a target reads from files, arrays, texts, boxes or label maps, in place of their paths; others stay.

    Args:
        frame: the columns of the target, of those patients alone whose outcome may be read.
        folder: what paths are relative to, and must not leave; None where whoever made the cohort gave them.
    """
    if target.text_files:
        texts = {name: read_texts(folder, frame[name].tolist()) for name in target.text_files}
        return frame.assign(**texts)
    if target.box_files:
        column, size = target.box_files
        return frame.assign(**{column: read_boxes(folder, frame[column].tolist(), size)})
    if target.mask_files:
        column, spacing = target.mask_files
        on = frame[target.mask_series].tolist() if target.mask_series else ()
        read = read_masks(folder, frame[column].tolist(), spacing, target.mask_codes, on)
        return frame.assign(**{column: read})
    if target.files is None:
        return frame
    path, variable = target.files
    return frame.assign(**{path: read_responses(folder, frame[path].tolist(), variable)})
