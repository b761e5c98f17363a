"""FLoRA and its controls as a Flower `Strategy`, and a hospital as a Flower `ClientApp`.

Both know only Flower's messages, and so work on any of its grids. A message to a hospital holds the number of the round
and what earlier rounds gave; the answer holds its adapter. Tensors travel as the bytes of safetensors files inside
Flower's `Array`, never as its NumPy serialisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MessageType, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from chiasm.federated.folder import Answer
from chiasm.federated.wire import MOST_PATIENTS, FederationError, Sites, read_adapter, read_update, to_bytes, whole
from chiasm.recipes.hospitals.federation import Participant, Plan, State, largest_rank

STYPE = "safetensors"
UPDATES, TASK, ADAPTER, FACTS = "updates", "task", "adapter", "facts"


@dataclass(frozen=True)
class Round:
    """What became of a round.

    Args:
        answers: name of a hospital to what it sent, of those whose adapter counts.
        refused: name to the reason, of those whose answer could not be used.
    """

    number: int
    answers: dict[str, Answer]
    refused: dict[str, str]
    update: State


def flower_message(content: RecordDict, kind: str, node: int, group: str) -> Message:
    """A message inside a run of Flower."""
    return Message(content, node, kind, group_id=group)


class LoraStrategy(Strategy):
    """Adapters of all hospitals to one update a round, by the aggregation of the plan; see `aggregate_lora`.

    Args:
        sites: the base's, by which answers are checked.
        updates: of the rounds that are finished already.
        least: how many answers a round needs.
        name_of: a node's name, for what is said of it.
        keep: called with every finished round before the next one starts.
        write: makes a message of (content, type, node, group); Flower's constructor works inside a run of Flower only.
    """

    def __init__(
        self,
        plan: Plan,
        sites: Sites,
        *,
        updates: Iterable[State] = (),
        least: int = 2,
        name_of: Callable[[int], str] = "node {}".format,
        keep: Callable[[Round], None] = lambda done: None,
        write: Callable[[RecordDict, str, int, str], Message] = flower_message,
    ) -> None:
        self.plan, self.sites, self.least, self.name_of, self.keep, self.write = (
            plan, sites, least, name_of, keep, write,
        )  # fmt: skip
        self.updates = list(updates)

    @property
    def arrays(self) -> ArrayRecord:
        """What a hospital has to know before the next round: every stack of FLoRA, or the last mean of a control."""
        return updates_record(self.plan, self.updates)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The same message for every node that is there."""
        task = ConfigRecord({**config, "round": len(self.updates) + 1})
        content = RecordDict({UPDATES: self.arrays, TASK: task})
        group = str(task["round"])
        return [self.write(content, MessageType.TRAIN, node, group) for node in grid.get_node_ids()]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """The update of this round, from every answer that is sound; nodes are sorted by name.

        Raises:
            FederationError: fewer sound answers than a round needs.
        """
        answers: dict[str, Answer] = {}
        refused: dict[str, str] = {}
        for reply in replies:
            name = self.name_of(reply.metadata.src_node_id)
            try:
                if reply.has_error():
                    raise FederationError(reply.error.reason)
                answers[name] = self.read(reply.content)
            except FederationError as error:
                refused[name] = str(error)
        number = len(self.updates) + 1
        if len(answers) < self.least:
            came = ", ".join(sorted(answers)) or "nobody"
            raise FederationError(
                f"round {number} has a sound answer of {came} and needs {self.least}: start the server again with "
                "--resume once the hospitals can be reached"
            )
        answers = dict(sorted(answers.items()))
        update = self.plan.put_together(
            [answer.adapter for answer in answers.values()], [answer.patients for answer in answers.values()]
        )
        if self.plan.aggregation == "flora":
            require_rank_growth(update, [answer.rank for answer in answers.values()])
        self.updates.append(update)
        self.keep(Round(number, answers, refused, update))
        return self.arrays, None

    def read(self, content: RecordDict) -> Answer:
        """The answer in a message.

        Raises:
            FederationError: it is not what a hospital of this federation sends.
        """
        facts: Mapping[str, Any] = dict(content.metric_records).get(FACTS, {})
        data = content.array_records[ADAPTER].get(ADAPTER) if ADAPTER in content.array_records else None
        rank = whole(facts, "rank", 1, largest_rank(dict(self.sites)))
        if self.plan.aggregation == "fedavg" and rank != self.plan.rank:
            raise FederationError(
                f"fedavg needs equal ranks: this federation's is {self.plan.rank}, and here is {rank}"
            )
        patients = whole(facts, "patients", 1, MOST_PATIENTS) if self.plan.weights == "patients" else None
        if data is None or data.stype != STYPE:
            raise FederationError("the answer holds no adapter")
        return Answer(read_adapter(data.data, self.sites, rank), rank, patients)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Nothing: a score of a hospital's patients stays there."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Nothing, as nothing was asked."""
        return None

    def summary(self) -> None:
        """Nothing: the plan stands in the federation's folder."""


def require_rank_growth(update: State, ranks: list[int]) -> None:
    """Raise unless FLoRA's stack has the sum of the ranks."""
    found = {tensor.shape[0 if ".lora_A." in name else 1] for name, tensor in update.items()}
    if found != {sum(ranks)}:
        raise FederationError(f"a stack of ranks {ranks} has ranks {sorted(found)} and not their sum")


def updates_record(plan: Plan, updates: list[State]) -> ArrayRecord:
    """What is needed of finished rounds, each by its number."""
    first = 1 if plan.aggregation == "flora" else max(1, len(updates))
    return ArrayRecord({str(n): packed(to_bytes(updates[n - 1])) for n in range(first, len(updates) + 1)})


def packed(data: bytes) -> Array:
    """Bytes of a safetensors file as Flower carries them."""
    return Array("uint8", (len(data),), STYPE, data)


def hospital_app(participant: Participant) -> ClientApp:
    """A hospital as Flower calls it: takes what earlier rounds gave, trains, answers with its adapter alone.

    The number of training patients goes with it where the plan weighs by it, and is left out else.
    """
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        take_updates(participant, {int(n): a.data for n, a in message.content.array_records[UPDATES].items()})
        number = whole(message.content.config_records[TASK], "round", 1, participant.plan.rounds)
        adapter = participant.train(number)
        facts: dict[str, Any] = {"rank": participant.rank}
        if participant.plan.weights == "patients":
            facts["patients"] = participant.patients
        content = RecordDict({ADAPTER: ArrayRecord({ADAPTER: packed(to_bytes(adapter))}), FACTS: MetricRecord(facts)})
        return Message(content, reply_to=message)

    return app


def take_updates(participant: Participant, updates: Mapping[int, bytes]) -> None:
    """Hand a participant the rounds that it does not know yet.

    Raises:
        FederationError: an update that does not fit the base, or of FLoRA's rounds one that is missing.
    """
    for number in sorted(number for number in updates if number > participant.round):
        if participant.plan.aggregation == "flora" and number != participant.round + 1:
            raise FederationError(f"the server left out round {participant.round + 1}: start this client again")
        participant.take(read_update(updates[number], participant.sites), number)
