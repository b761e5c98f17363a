"""Public functions that send a model to the Hugging Face Hub, and fetch one revision of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chiasm.api.models import load_model
from chiasm.artifact import CARD, ArtifactError, Given, whole_folder
from chiasm.evaluation import Trial
from chiasm.fitting.card import rows_kept
from chiasm.fitting.model import FittedModel


@dataclass(frozen=True)
class Pushed:
    """Where a model was sent: its page, the full hash of the revision, whether it is private, and what was sent."""

    page: str
    repository: str
    revision: str
    private: bool
    files: tuple[str, ...]


@dataclass(frozen=True)
class Pulled:
    """A model that was fetched: its folder, the full hash of the revision, and what was fetched."""

    folder: Path
    revision: str
    files: tuple[str, ...]


def push(
    model: Path | str,
    repository: str,
    *,
    licence: str,
    trial: Trial | None = None,
    public: bool = False,
    with_training_rows: bool = False,
) -> Pushed:
    """Send a model folder to the Hugging Face Hub: its files and no other, with its card as `README.md`.

    The repository is made if it is not there, private unless `public`. You sign in by `hf auth login`, or `HF_TOKEN`.

    Args:
        model: a model folder.
        repository: `owner/name`.
        licence: as the Hub lists it (`apache-2.0`, `cc-by-nc-4.0`, `other`): yours to choose, under the terms of the
            data and of the encoders that the model reads by.
        trial: of the same cohort, with the model's recipe, whose scores then stand in the card.
        public: everybody may read it.
        with_training_rows: send it although it can keep rows of training patients (kernels, soft prompts).

    Raises:
        HubError: the model can keep rows of training patients; the repository is public, or holds other files; the Hub
            refuses.
        ArtifactError: the folder holds no sound model.
        TrialError: the trial is of another target or other modalities, or has no such recipe.
        Unsupported: huggingface_hub is not installed.
    """
    from chiasm.report.model_card import card_text
    from chiasm.sharing.hub_card import hub_card
    from chiasm.sharing.hub_place import HubError, hub_place
    from chiasm.sharing.hub_push import README, files_of, sent

    folder, place = Path(model), hub_place(repository)
    files = files_of(folder)
    fitted = load_model(folder)
    if not isinstance(fitted, FittedModel):
        raise ArtifactError(f"'{folder.name}' holds a model of another kind: what is pushed is a fitted recipe")
    kept = rows_kept(fitted)
    if kept and not with_training_rows:
        raise HubError(
            f"the model keeps or can keep rows of training patients ({'; '.join(kept)}): fit another recipe, or add "
            "--with-training-rows if who reads it may read the data"
        )
    own = folder / CARD
    text = own.read_text(encoding="utf-8") if trial is None and own.is_file() else card_text(fitted, trial)
    card = hub_card(text, fitted, licence, name=repository, trial=trial)
    revision, private = sent(place, files, card, public=public)
    return Pushed(place.page, repository, revision, private, (*(file.name for file in files), README))


def pull(model: str, out: Path | str, *, trusted: Sequence[Given] | None = None) -> Pulled:
    """Fetch one revision of a model from the Hugging Face Hub, by its full hash.

    Which files it holds, their sizes and hashes are looked at before a byte is fetched, and each is compared with them
    when it is here; then the folder is opened as any model, which executes nothing, and appears whole or not at all.
    No link is followed but a redirect of the Hub to TLS.

    The hash of a revision says that you got what whoever named it to you meant, as far as the Hub is honest. Who made
    the model, its signature says, where there is one.

    Args:
        model: `owner/name@revision`, where the revision is the full hash of a commit.
        out: the model folder, which is not there yet.
        trusted: public keys, one of which has to have signed the model, as for `load_model`.

    Raises:
        HubError: a branch or a tag is named, whose hash is then told; the revision holds a file that no model has, or
            one that is too large; what comes is shorter, longer or other than was listed.
        ArtifactError: it is no sound model, or no trusted key signed it.
        FileExistsError: `out` exists.
        Unsupported: huggingface_hub is not installed.
    """
    from chiasm.sharing.hub_pull import fetch, listed, named_revision

    folder = Path(out)
    place, revision = named_revision(model)
    files = listed(place.listing(revision), revision)
    with whole_folder(folder) as staging:
        fetch(place, revision, files, staging)
        load_model(staging, trusted=trusted)
    return Pulled(folder, revision, tuple(file.name for file in files))
