"""Public function that pretrains an encoder on a cohort's own values, without outcomes, and keeps it as a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import encode
from chiasm.api.pretraining_checkpoint import ANEW, checkpoint_for
from chiasm.api.pretraining_packs import groups_of, labels_of
from chiasm.api.pretraining_rasters import (
    AskedOfRasters,
    PretrainedRasters,
    pretrain_rasters,
    raster_modality,
    require_of_rasters,
    require_of_sequences,
)
from chiasm.api.pretraining_words import notes_on_letters, said_of_letters
from chiasm.api.record_pretraining import KIND, pretrain_on_records, require_kind, require_unused
from chiasm.cohort import Cohort, Problem, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.cohort.units import alone_where_empty
from chiasm.encoders.sequence.stored_network import StoredNetwork
from chiasm.errors import nearest
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.folder import as_stored
from chiasm.pretraining.options import PretrainOptions, network_config
from chiasm.pretraining.records.options import METHOD, RecordOptions
from chiasm.pretraining.stage import most_epochs, pretrained_on, rows_of_training
from chiasm.pretraining.tasks import METHODS
from chiasm.progress import followed
from chiasm.report.written import write_page

KINDS = ("dna", "protein", "molecule")


@dataclass(frozen=True, repr=False)
class Pretrained:
    """An encoder that was pretrained, and how that went.

    Attributes:
        folder: where it lies; `encoder` is how a manifest names it.
        modality, kind, method: what was read, and what was told.
        curve: one row an epoch: losses of training and of held-out letters in nats a letter, the held-out perplexity,
            and the signs of a collapse (`rank`, `spread`, `neighbours`), which read no loss.
        perplexity: of held-out letters at the best epoch: among how many letters the network is torn.
        baselines: perplexities of those who know the alphabet, how often each letter occurs, or the letters before.
        facts: all of what the folder tells, without an identifier.
        sentences: what it says; notes: what a reader must know; problems: sources that could not be read.
    """

    folder: Path
    modality: str
    kind: str
    method: str
    curve: pd.DataFrame
    perplexity: float
    baselines: dict[str, float]
    facts: dict[str, Any]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"Pretrained: '{self.modality}' by {self.method}, held-out perplexity {self.perplexity:.3f}"

    @property
    def encoder(self) -> str:
        """The encoder of a manifest that reads the folder."""
        return f"{'record' if self.kind == KIND else 'sequence'}:weights={self.folder}"

    def report(self, path: Path | str) -> Path:
        """Write the page, one HTML file: the curves, the baselines, and what watches the training.

        Raises:
            ValueError: another ending than .html.
        """
        from chiasm.report.pretraining_page import render_pretraining

        return write_page(path, lambda: render_pretraining(
            self.curve, self.baselines, self.facts, modality=self.modality, method=self.method,
            sentences=self.sentences, notes=self.notes,
        ))  # fmt: skip


def pretrain(
    cohort: Given,
    out: Path | str,
    *,
    modality: str | None = None,
    method: str | None = None,
    network: str | None = None,
    epochs: int = 20,
    steps: int | None = None,
    patience: int | None = None,
    batch: int = 64,
    learning_rate: float | None = None,
    held_out: float = 0.1,
    share: float | None = None,
    pack_by: str | None = None,
    pack: int | None = None,
    longest: int = 4096,
    unknown: bool = False,
    size: int | None = None,
    reading: str = "",
    flips: str = "",
    precision: str = "32",
    processes: int = 1,
    text: str | None = None,
    labels: bool = False,
    marks: bool = True,
    resume: bool = False,
    seed: int = 0,
    device: str = "cpu",
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Pretrained | PretrainedRasters:
    """Pretrain a network on a modality's sequences, signals, images or volumes, and write it as an encoder's folder.

    The patients held out, whole groups of them, are never trained on; they choose the epoch. A sequence that several
    patients have is read once. No outcome is needed, and none is read but by `pack_by="target"`. A model that is then
    tested on the same patients has seen their sequences before: `check` says so, and `encoder = "pretrained"` of a
    manifest pretrains within each fold instead.

    Args:
        cohort: a cohort, or the path of a manifest.
        out: the folder; beside it lies `<out>.checkpoint` until the training is over.
        modality: of kind dna, protein, molecule, events, image, volume, dicom, ecg or signal; may be left out where the
            method reads one alone.
        method: `causal`, each letter from those before it; `masked`, hidden letters from both sides; `fim`, a middle
            from both of its sides; `icl`, `causal` with sequences of one group joined; `next-event`, of event records,
            which event comes next, and when (EHRMamba, arXiv:2405.14567): the encoder is `record:weights=`. Of signals,
            images and volumes `mae` unless it is named, see `pretraining.rasters.methods`; `raster:weights=`.
        network: a cell with its options, as `gru:width=64,depth=2,rc=ph`; see `SequenceConfig`, and of next-event
            `RecordConfig`; of rasters `vit:width=192,depth=4,patch=4` or `conv:width=64,depth=3`, see `RasterConfig`.
        epochs: the most passes over the training sequences; steps: so many instead, rounded up to whole epochs.
        patience: epochs without a lower held-out loss after which the training stops: 3, of rasters 5.
        batch: sequences or items a step; learning_rate: peak rate of AdamW: 3e-3, of rasters 1e-3.
        held_out: share of the patients that is held out.
        share: of the letters that `masked` hides (0.15), of the sequences whose middle `fim` moves (0.5), of the
            patches that `mae` hides (0.75).
        pack_by: with `icl`: `group`, `site`, `target` (its classes) or a declared subgroup; pack: sequences a
            pack, 4 unless it is given.
        longest: letters of the longest sequence that is accepted; of a record the last so many events are read.
        unknown: read letters outside the alphabet as one that is unknown; else they are refused.
        size, reading: of rasters: length of each axis, else their own up to 64 pixels, 32 voxels or 1,000 samples; and
            how a source becomes one, as `resize=pad` or `hz=50`; see `RasterReading`.
        flips: of rasters: axes along which views are mirrored, as `1` or `0+1`; none, since sides matter in a body.
        precision: of rasters: 32, or bf16 for mixed precision; processes: of rasters: how many share every step.
        text, labels: of rasters: what a method reads beside them: a modality of text, or `names`, `prompts` or
            `lineages` of labels where none is called so; the labels of the target.
        marks: keep marks by which `check` tells that patients of a cohort were pretrained on (`SeenItems`).
        resume: go on from the checkpoint of a pretraining that was interrupted; it ends as if it had not been. Without
            a checkpoint it begins with its first epoch, and a note says so.
        seed: of initial weights, draws and who is held out.
        device: where torch computes; jobs: processes that read.
        progress: called with (finished, all) epochs; None draws a bar in a terminal or notebook.

    Raises:
        Unsupported: no such modality, too few patients, a letter outside the alphabet, a sequence that is too long, a
            batch that memory does not hold, or a method that does not suit the network.
        ValueError: an option out of range, or a loss that is not finite.
        ArtifactError: the checkpoint is of another pretraining, or `out` holds something else.
        FileExistsError: a checkpoint lies beside `out`, and `resume` is not asked for.

    Source: Schmidinger et al., Bio-xLSTM, arXiv:2411.04165, for the methods; formulas in `chiasm.objectives`.
    """
    if steps is not None and steps < 1:
        raise ValueError(f"{steps} steps: one at least is needed")
    opened, out = as_cohort(cohort), Path(out)
    if (of_rasters := raster_modality(opened, modality, method)) is not None:
        require_of_rasters(
            method, pack_by=pack_by, pack=pack, unknown=unknown or None, longest=None if longest == 4096 else longest
        )
        more = {
            "epochs": epochs, "patience": patience, "batch": batch, "learning_rate": learning_rate,
            "held_out": held_out, "flips": flips, "precision": precision,
        }  # fmt: skip
        asked = AskedOfRasters(method, network, size, reading, steps, share, text, labels, marks, more, processes)
        return pretrain_rasters(
            opened, of_rasters, out, asked, resume=resume, seed=seed, device=device, jobs=jobs, progress=progress
        )
    require_of_sequences(
        size=size, reading=reading or None, flips=flips or None, precision=None if precision == "32" else precision,
        text=text, labels=labels or None, processes=None if processes == 1 else processes,
    )  # fmt: skip
    method, network = method or "causal", network or "gru"
    patience, learning_rate = 3 if patience is None else patience, 3e-3 if learning_rate is None else learning_rate
    name = _modality(opened, modality, (KIND,) if method == METHOD else KINDS)
    kind = opened.kinds[name]
    if require_kind(opened, name, method):
        require_unused(share=share, pack_by=pack_by, pack=pack, unknown=unknown or None)
        read = RecordOptions(epochs, patience, batch, learning_rate, held_out, longest)
        checkpoint, anew = checkpoint_for(out, resume)
        with followed("epochs", progress) as told:
            own = pretrain_on_records(
                opened, name, out, network=network, options=read, steps=steps, marks=marks, checkpoint=checkpoint,
                seed=seed, device=device, jobs=jobs, followed=told,
            )  # fmt: skip
        notes = (*((ANEW,) if anew else ()), *own.notes)
        told_by = own.facts["perplexity"], own.facts["baselines"], own.facts
        return Pretrained(out, name, kind, method, own.curve, *told_by, own.sentences, notes, own.problems)
    options = PretrainOptions(
        method,
        epochs,
        patience,
        batch,
        learning_rate,
        held_out,
        -1.0 if share is None else share,
        4 if pack is None else pack,
        longest,
    )
    config = network_config(network, kind, method)
    if METHODS[method].packs != (pack_by is not None):
        raise ValueError(
            f"'{method}' joins sequences of one group: name it by pack_by" if pack_by is None
            else f"'{method}' joins no sequences, and pack_by is for icl"
        )  # fmt: skip
    if pack is not None and not METHODS[method].packs:
        raise ValueError(f"'{method}' joins no sequences, and pack is for icl: leave it out")
    checkpoint, anew = checkpoint_for(out, resume)
    joined = labels_of(opened, pack_by)
    encoded = encode(opened.with_modalities([name]), {name: "pretrained"}, jobs=jobs)
    rows = encoded.cohort.rows_of(name)
    values = [str(value) for value in encoded.cohort.raw(name)]
    units = np.arange(len(opened)).astype(str) if opened.group is None else alone_where_empty(opened.group)
    corpus = corpus_of(values, units[rows].tolist(), held_out, seed)
    groups = () if joined is None else groups_of(corpus, values, joined[rows].tolist())
    if steps is not None:
        options = replace(options, epochs=most_epochs(steps, rows_of_training(corpus, options, groups), batch))
    out.parent.mkdir(parents=True, exist_ok=True)
    with followed("epochs", progress) as told:
        found = pretrained_on(
            corpus, config, options, groups=groups, unknown=unknown, seed=seed, checkpoint=checkpoint, device=device,
            progress=told,
        )  # fmt: skip
    stored = as_stored(found, corpus, options, kind, marks=marks)
    artifact.save(out, stored)
    checkpoint.unlink(missing_ok=True)
    result = told_of(stored, out, name, encoded.problems)
    return replace(result, notes=(ANEW, *result.notes)) if anew else result


def told_of(stored: StoredNetwork, folder: Path, modality: str, problems: tuple[Problem, ...] = ()) -> Pretrained:
    """Put what a folder holds in words."""
    facts = {key: value for key, value in stored.facts.items() if key != "seen"}
    curve = pd.DataFrame(facts["curve"])
    curve.insert(0, "epoch", np.arange(1, len(curve) + 1))
    curve.insert(3, "perplexity", np.exp(curve["held_out"].clip(upper=700)))
    return Pretrained(
        folder, modality, facts["kind"], stored.method, curve, facts["perplexity"], facts["baselines"], facts,
        tuple(said_of_letters(facts, stored.method)), tuple(notes_on_letters(facts)), problems,
    )  # fmt: skip


def _modality(cohort: Cohort, asked: str | None, kinds: tuple[str, ...]) -> str:
    able = [name for name in cohort.modalities if cohort.kinds[name] in kinds]
    if asked is None and len(able) == 1:
        return able[0]
    if asked in cohort.modalities and cohort.kinds[str(asked)] in (*KINDS, KIND):
        return str(asked)
    if asked in cohort.modalities:
        raise Unsupported(
            f"modality '{asked}' is of kind '{cohort.kinds[str(asked)]}', and sequences of kind {', '.join(KINDS)} are "
            f"pretrained on, and records of kind {KIND}"
        )
    there = ", ".join(able) or "none"
    like = nearest(asked or "", able)
    hint = f"did you mean '{like}'?" if like else f"of kind {', '.join(kinds)} there are: {there}"
    if not able and KIND in cohort.kinds.values():
        hint += f", and records of kind {KIND} by method {METHOD}"
    raise Unsupported(
        f"name the modality to pretrain on; {hint}" if asked is None else f"no modality '{asked}': {hint}"
    )
