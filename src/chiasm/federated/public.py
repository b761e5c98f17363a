"""Public functions of federated learning, re-exported by `chiasm.api`; Flower is imported only when they need it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort
from chiasm.encoding.preparing import PreparedCohort, prepare
from chiasm.federated.folder import create_federation, load_base, open_federation
from chiasm.protocols import Model
from chiasm.readers.registry import missing
from chiasm.recipes.hospitals.federation import LEAST_CLIENTS, Plan

Told = Callable[..., None]


def new_federation(base: Path | str, out: Path | str, *, least: int = LEAST_CLIENTS, **options: Any) -> dict[str, Any]:
    """Create the folder in which `federation_server` coordinates hospitals around a common base model.

    Args:
        base: a model folder with a network; it is copied.
        out: the federation's folder, new or empty.
        least: minimum number of hospitals per round.
        options: the fields of `Plan`: aggregation, rounds, rank, weights, epochs ...

    Returns:
        `federation`, the folder, and `base`, the identity of the model folder, by which hospitals verify their copy.

    Raises:
        FederationError: `out` is not empty, or `least` or the rank is out of range.
        ArtifactError, Unsupported, ValueError: the base is damaged or has no network, or an option is out of range.
    """
    made = create_federation(Path(out), Path(base), Plan(**options), least)
    return {"federation": str(out), "base": made.base_identity}


def invite(federation: Path | str, name: str) -> str:
    """Create a token for a hospital, which is not stored; an earlier token of the hospital becomes invalid."""
    return open_federation(Path(federation)).invite(name)


def federation_server(
    federation: Path | str, address: str, *, resume: bool = False, told: Told | None = None, **how: Any
) -> list[dict[str, Any]]:
    """Coordinate a federation until its last round, write `model/` to its folder and return a summary of each round.

    Args:
        federation: the folder made by `new_federation`.
        address: `host:port` to listen on.
        resume: continue a federation that has begun.
        told: called with an event's name and its facts.
        how: the other fields of `chiasm.federated.server.Serving`: certificate, key, insecure, gather_seconds,
            round_seconds.

    Raises:
        FederationError: see `chiasm.federated.server.run_server`.
    """
    server = _talking("server")
    rounds: list[dict[str, Any]] = server.run_server(
        Path(federation), server.Serving(address, **how), resume=resume, told=told or _unheard
    )
    return rounds


def federation_client(
    base: Path | str,
    cohort: Cohort | PreparedCohort,
    server: str,
    name: str,
    token: str,
    *,
    device: str = "cpu",
    told: Told | None = None,
    **how: Any,
) -> Model:
    """Take part in a federation with the patients of one hospital; return the final model.

    Args:
        base: the folder of the common base model.
        cohort: the hospital's cohort, with the target of the base, or what `prepare` made of it for the base; no row of
            it leaves this process.
        server: `host:port` of the coordinator; `name` and `token` as given by it.
        told: called with an event's name and its facts.
        how: the other fields of `chiasm.federated.client.Joining`: authority, insecure, rank, share_count,
            patience_seconds.

    Raises:
        CohortError: the cohort has errors.
        FederationError: the server refuses this hospital or cannot be reached.
        Unsupported: the cohort does not fit the base.
    """
    client = _talking("client")
    loaded = load_base(Path(base))
    ready = cohort if isinstance(cohort, PreparedCohort) else prepare(cohort, model=loaded)
    joining = client.Joining(server, name, token, **how)
    model: Model = client.run_client(Path(base), loaded, ready.cohort, joining, device=device, told=told or _unheard)
    return model


def _unheard(event: str, **facts: Any) -> None:
    """No-op event callback."""


def _talking(part: str) -> Any:
    """Import a module of `chiasm.federated` that needs Flower, with advice if Flower is missing."""
    try:
        return import_module(f"chiasm.federated.{part}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("flwr", "grpc"):
            raise missing("flwr", "federated", "federations") from None
        raise
