"""The folder of a federation: its plan, its base, who is invited, and what every round left. No patient is in it.

federation.json            plan, identity of the base, least number of hospitals in a round
invited.json               hospital -> sha256 of its token
base/                      the model folder that everybody has
round-001/<hospital>.safetensors   its adapter as it came
round-001/update.safetensors       what the server made of all
round-001/round.json       who took part, with which weight, how many bytes, who was refused and why
log.jsonl                  what happened when
model/                     the base with all rounds in it, for `chiasm predict`
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
from chiasm.federated.wire import FederationError, State
from chiasm.fitting.model import FittedModel
from chiasm.recipes.hospitals.federation import LEAST_CLIENTS, Plan, largest_rank, sites_of
from chiasm.recipes.registry import bring_others

SCHEMA = 1
DESCRIPTION, INVITED, LOG, BASE, MODEL = "federation.json", "invited.json", "log.jsonl", "base", "model"
UPDATE = "update.safetensors"  # of a round
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")


@dataclass(frozen=True)
class Answer:
    """A hospital's adapter of a round, with its number of training patients where the plan weighs by them."""

    adapter: State
    rank: int
    patients: int | None


@dataclass(frozen=True)
class Federation:
    """A federation on disk; made by `create_federation` and `open_federation`."""

    path: Path
    plan: Plan
    base_identity: str
    least: int

    @property
    def base(self) -> FittedModel:
        """The model that everybody has."""
        return load_base(self.path / BASE)

    @property
    def invited(self) -> dict[str, str]:
        """Hospital to the sha256 of its token, by name."""
        file = self.path / INVITED
        return dict(sorted(json.loads(file.read_text("utf-8")).items())) if file.exists() else {}

    def invite(self, name: str) -> str:
        """A token for a hospital, which is shown once and not kept; an earlier one of its is void.

        Raises:
            FederationError: see `require_name`.
        """
        require_name(name)
        token = secrets.token_urlsafe(32)
        invited = {**self.invited, name: hashlib.sha256(token.encode()).hexdigest()}
        artifact.write_text(self.path / INVITED, json.dumps(invited, indent=1))
        self.log("invited", client=name)
        return token

    def admits(self, name: str, token: str) -> bool:
        """Whether this is the token that the hospital was given."""
        wanted = self.invited.get(name, "")
        return hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), wanted) and bool(wanted)

    def round_folder(self, number: int) -> Path:
        """Where a round lies."""
        return self.path / f"round-{number:03d}"

    def updates(self) -> list[State]:
        """What the server made of each finished round, in their order."""
        found: list[State] = []
        while (file := self.round_folder(len(found) + 1) / UPDATE).exists():
            found.append(_tensors(artifact.load_checkpoint(file)["update"]))
        return found

    def answers(self, number: int) -> dict[str, Answer]:
        """The adapters of a round that have come by now."""
        found = {}
        for file in sorted(self.round_folder(number).glob("*.safetensors")):
            if file.stem in self.invited:
                state = artifact.load_checkpoint(file)
                found[file.stem] = Answer(_tensors(state["adapter"]), state["rank"], state["patients"])
        return found

    def keep_answer(self, number: int, name: str, answer: Answer) -> None:
        """Write a hospital's adapter before it is thanked for it."""
        state = {"adapter": answer.adapter, "rank": answer.rank, "patients": answer.patients}
        artifact.save_checkpoint(self.round_folder(number) / f"{name}.safetensors", state)

    def keep_round(self, number: int, update: State, document: dict[str, Any]) -> None:
        """Write what a round gave; the update last, since it is what makes the round a finished one."""
        folder = self.round_folder(number)
        artifact.write_text(folder / "round.json", json.dumps(document, indent=1, allow_nan=False))
        artifact.save_checkpoint(folder / UPDATE, {"update": update})

    def rounds(self) -> list[dict[str, Any]]:
        """`round.json` of every finished round."""
        count = len(self.updates())
        return [json.loads((self.round_folder(n) / "round.json").read_text("utf-8")) for n in range(1, count + 1)]

    def log(self, event: str, **facts: Any) -> None:
        """A line of log.jsonl: names of hospitals, counts and reasons."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"time": now, "event": event, **facts}) + "\n")


def require_name(name: str) -> None:
    """Raise FederationError for a name of other characters than small letters, digits and dashes, or of a file."""
    if not NAME.fullmatch(name):
        raise FederationError("the name of a hospital has small letters, digits and dashes, as in 'hospital-a'")
    if name == Path(UPDATE).stem:
        raise FederationError(f"no hospital can be called '{name}': what a round gives is")


def create_federation(path: Path, base: Path, plan: Plan, least: int = LEAST_CLIENTS) -> Federation:
    """A new federation around a model folder, which is copied into it.

    Raises:
        FederationError: something lies at `path`, or fewer hospitals a round than two.
        ArtifactError, Unsupported, ValueError: the base is damaged, holds no network, or has no room for the rank.
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
    """The federation that lies in a folder.

    Raises:
        FederationError: there is none, or its base was changed.
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
    """The model folder that everybody has.

    Raises:
        ArtifactError: it is damaged.
        FederationError: it is no fitted model.
    """
    model = artifact.load(path, bring=bring_others)
    if not isinstance(model, FittedModel):
        raise FederationError(f"'{path.name}' holds no model that a recipe of chiasm fitted")
    return model


def _tensors(arrays: dict[str, np.ndarray]) -> State:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
