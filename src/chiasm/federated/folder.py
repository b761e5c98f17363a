"""Folder of a federation: its plan, base model, invited hospitals and the results of every round, no patient data.

federation.json            plan, identity of the base, minimum number of hospitals per round
invited.json               hospital -> sha256 of its token
base/                      folder of the common base model
round-001/<hospital>.safetensors   the hospital's adapter as received
round-001/update.safetensors       the server's aggregate of all adapters
round-001/round.json       participants with weights and bytes sent, refused hospitals with reasons
log.jsonl                  log of events with their times
model/                     the base with the updates of all rounds, for `chiasm predict`
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import re
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm import artifact
from chiasm.artifact.whole import alone_in
from chiasm.federated.wire import FederationError, State
from chiasm.fitting.model import FittedModel
from chiasm.recipes.hospitals.federation import LEAST_CLIENTS, Plan, largest_rank, sites_of
from chiasm.recipes.registry import bring

SCHEMA = 1
DESCRIPTION, INVITED, LOG, BASE, MODEL = "federation.json", "invited.json", "log.jsonl", "base", "model"
UPDATE = "update.safetensors"  # in a round's folder
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True)
class Answer:
    """A hospital's adapter of one round, with its number of training patients if the plan weighs by it."""

    adapter: State
    rank: int
    patients: int | None


@dataclass(frozen=True)
class Federation:
    """A federation on disk; create it with `create_federation` or `open_federation`."""

    path: Path
    plan: Plan
    base_identity: str
    least: int

    @property
    def base(self) -> FittedModel:
        """Load the common base model."""
        return load_base(self.path / BASE)

    @property
    def invited(self) -> dict[str, str]:
        """Return the sha256 of each hospital's token, sorted by hospital."""
        file = self.path / INVITED
        return dict(sorted(json.loads(file.read_text("utf-8")).items())) if file.exists() else {}

    def invite(self, name: str) -> str:
        """Create a token for a hospital; only its hash is stored, and an earlier token becomes invalid.

        Invitations at once come one after the other: each counts, and of two for one hospital the later one.

        Raises:
            FederationError: see `require_name`.
        """
        require_name(name)
        token = secrets.token_urlsafe(32)
        with alone_in(self.path):
            invited = {**self.invited, name: hashlib.sha256(token.encode()).hexdigest()}
            artifact.write_text(self.path / INVITED, json.dumps(invited, indent=1))
        self.log("invited", client=name)
        return token

    def admits(self, name: str, token: str) -> bool:
        """Return whether this is the hospital's current token."""
        wanted = self.invited.get(name, "")
        return hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), wanted) and bool(wanted)

    def round_folder(self, number: int) -> Path:
        """Return the folder of a round."""
        return self.path / f"round-{number:03d}"

    def updates(self) -> list[State]:
        """Load the server's update of every finished round, in order."""
        found: list[State] = []
        while (file := self.round_folder(len(found) + 1) / UPDATE).exists():
            found.append(_tensors(artifact.load_checkpoint(file)["update"]))
        return found

    def answers(self, number: int) -> dict[str, Answer]:
        """Load the adapters of a round received so far, by hospital."""
        found = {}
        for file in sorted(self.round_folder(number).glob("*.safetensors")):
            if file.stem in self.invited:
                state = artifact.load_checkpoint(file)
                found[file.stem] = Answer(_tensors(state["adapter"]), state["rank"], state["patients"])
        return found

    def keep_answer(self, number: int, name: str, answer: Answer) -> None:
        """Store a hospital's adapter, before it is acknowledged."""
        state = {"adapter": answer.adapter, "rank": answer.rank, "patients": answer.patients}
        artifact.save_checkpoint(self.round_folder(number) / f"{name}.safetensors", state)

    def keep_round(self, number: int, update: State, document: dict[str, Any]) -> None:
        """Store the results of a round; the update comes last, since its presence marks the round as finished."""
        folder = self.round_folder(number)
        artifact.write_text(folder / "round.json", json.dumps(document, indent=1, allow_nan=False))
        artifact.save_checkpoint(folder / UPDATE, {"update": update})

    def rounds(self) -> list[dict[str, Any]]:
        """Read `round.json` of every finished round."""
        count = len(self.updates())
        return [json.loads((self.round_folder(n) / "round.json").read_text("utf-8")) for n in range(1, count + 1)]

    def log(self, event: str, **facts: Any) -> None:
        """Append an event to log.jsonl, with names of hospitals, counts and reasons."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now, "event": event, **facts}) + "\n")


def require_name(name: str) -> None:
    """Raise FederationError for a name with characters other than lower-case letters, digits, dashes; or `update`."""
    if not NAME.fullmatch(name):
        raise FederationError("the name of a hospital has small letters, digits and dashes, as in 'hospital-a'")
    if name == Path(UPDATE).stem:
        raise FederationError(f"no hospital can be called '{name}': what a round gives is")


def create_federation(path: Path, base: Path, plan: Plan, least: int = LEAST_CLIENTS) -> Federation:
    """Create a federation around a base model folder, which is copied into it.

    Raises:
        FederationError: `path` is not empty or inside the base, `least` is below two, or the base has no room for the
            rank.
        ArtifactError, Unsupported, ValueError: the base is damaged or holds no network.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FederationError(f"'{path.name}' exists and is not empty: choose another place for the federation")
    if base.resolve() in (path.resolve(), *path.resolve().parents):
        raise FederationError("the federation would lie inside its base: choose another place for it")
    if least < LEAST_CLIENTS:
        raise FederationError(f"a round needs {LEAST_CLIENTS} hospitals or more: of one alone the sum is its adapter")
    model = load_base(base)
    most = largest_rank(sites_of(model))
    if plan.rank > most:
        raise FederationError(f"rank {plan.rank}: the base has room for ranks from 1 to {most}")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.copytree(base, path / BASE)
    federation = Federation(path, plan, artifact.identity(path / BASE), least)
    document = {"schema": SCHEMA, "plan": asdict(plan), "base": federation.base_identity, "least": least}
    artifact.write_text(path / DESCRIPTION, json.dumps(document, indent=1))
    federation.log("created")
    return federation


def open_federation(path: Path) -> Federation:
    """Open the federation in a folder.

    Raises:
        FederationError: there is none, it is damaged or of another version, or its base was changed.
    """
    file = path / DESCRIPTION
    if not file.is_file():
        raise FederationError(f"'{path.name}' is no federation: chiasm federate new makes one")
    try:
        document = json.loads(file.read_text("utf-8"))
        if document["schema"] != SCHEMA:
            raise FederationError(f"'{path.name}' was written by another chiasm: install that one")
        federation = Federation(path, Plan(**document["plan"]), document["base"], document["least"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise FederationError(f"'{path.name}/{DESCRIPTION}' is damaged") from error
    if artifact.identity(path / BASE) != federation.base_identity:
        raise FederationError(f"'{path.name}/base' is another model than the one this federation was made for")
    return federation


def load_base(path: Path) -> FittedModel:
    """Load the common base model from its folder.

    Raises:
        ArtifactError: it is damaged.
        FederationError: it is not a fitted model.
    """
    model = artifact.load(path, bring=bring)
    if not isinstance(model, FittedModel):
        raise FederationError(f"'{path.name}' holds no model that a recipe of chiasm fitted")
    return model


def _tensors(arrays: dict[str, np.ndarray]) -> State:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
