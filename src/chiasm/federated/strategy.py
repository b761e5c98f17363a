"""FLoRA and its baselines as a Flower `Strategy`, and a hospital as a Flower `ClientApp`.

Both use only Flower's messages, and so work on any of its grids. A message to a hospital holds the number of the round
and the updates of earlier rounds; the answer holds its adapter. Tensors are sent as the bytes of safetensors files in
Flower's `Array`, never in its NumPy serialisation.
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
    """The result of a round.

    Args:
        number: number of the round, from 1.
        answers: accepted answers, by hospital.
        refused: reasons for refused answers, by hospital.
        update: the aggregated update.
    """

    number: int
    answers: dict[str, Answer]
    refused: dict[str, str]
    update: State


def flower_message(content: RecordDict, kind: str, node: int, group: str) -> Message:
    """Create a message inside a run of Flower."""
    return Message(content, node, kind, group_id=group)


class LoraStrategy(Strategy):
    """Flower strategy that aggregates all hospitals' adapters to one update per round, by the plan's aggregation.

    See `aggregate_lora`.

    Args:
        sites: adapter sites of the base, against which answers are checked.
        updates: updates of the rounds already finished.
        least: minimum number of answers per round.
        name_of: maps a node to its name.
        keep: called with every finished round before the next one starts.
        write: creates a message from (content, type, node, group); Flower's constructor works only inside a run.
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
        """Return the updates a hospital needs for the next round: every stack of FLoRA, or a baseline's last mean."""
        return updates_record(self.plan, self.updates)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Create the same message for every node present."""
        task = ConfigRecord({**config, "round": len(self.updates) + 1})
        content = RecordDict({UPDATES: self.arrays, TASK: task})
        group = str(task["round"])
        return [self.write(content, MessageType.TRAIN, node, group) for node in grid.get_node_ids()]

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate the valid answers, sorted by name, to the update of this round.

        Raises:
            FederationError: there are fewer valid answers than a round needs.
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
        """Read and validate the answer in a message.

        Raises:
            FederationError: it is not a valid answer of a hospital in this federation.
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
        """Request no evaluation: scores on a hospital's patients are not shared."""
        return []

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Return None, since no evaluation was requested."""
        return None

    def summary(self) -> None:
        """Log nothing: the plan is stored in the federation's folder."""


def require_rank_growth(update: State, ranks: list[int]) -> None:
    """Raise FederationError unless the rank of FLoRA's stack is the sum of the ranks."""
    found = {tensor.shape[0 if ".lora_A." in name else 1] for name, tensor in update.items()}
    if found != {sum(ranks)}:
        raise FederationError(f"a stack of ranks {ranks} has ranks {sorted(found)} and not their sum")


def updates_record(plan: Plan, updates: list[State]) -> ArrayRecord:
    """Pack the updates of finished rounds that hospitals need, by round: all for FLoRA, otherwise the last."""
    first = 1 if plan.aggregation == "flora" else max(1, len(updates))
    return ArrayRecord({str(n): packed(to_bytes(updates[n - 1])) for n in range(first, len(updates) + 1)})


def packed(data: bytes) -> Array:
    """Wrap the bytes of a safetensors file in Flower's `Array`."""
    return Array("uint8", (len(data),), STYPE, data)


def hospital_app(participant: Participant) -> ClientApp:
    """Create a hospital's Flower app: it applies the updates of earlier rounds, trains, and answers with its adapter.

    The number of training patients is included only if the plan weighs by it.
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
    """Pass a participant the updates of the rounds that it does not have yet.

    Raises:
        FederationError: an update does not fit the base, or a round of FLoRA is missing.
    """
    for number in sorted(number for number in updates if number > participant.round):
        if participant.plan.aggregation == "flora" and number != participant.round + 1:
            raise FederationError(f"the server left out round {participant.round + 1}: start this client again")
        participant.take(read_update(updates[number], participant.sites), number)
