"""A client that wants receipts hears what becomes of its messages at WORKER logics."""

from __future__ import annotations

from typing import Any

import pytest

from gobroke_dist import Client, FrameInvalid, LogicBase, LogicType, Message, QueueFull
from tests.cluster.conftest import Cluster
from tests.eventually import eventually


class Ledger(LogicBase):
    """Fails as often as it is told to, and then answers."""

    logic_type = LogicType.WORKER
    max_attempts = 3
    min_backoff = 0.01

    async def run_logic(self, message: Message) -> None:
        if message.delivery.attempt <= int(message.message_raw):
            raise ValueError("a secret")
        await self.send_message(Message(to_client=message.from_client, message_raw=b"booked"))


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


def receipts(messages: list[Message], uuid: str) -> list[dict[str, Any]]:
    return [message.metadata for message in messages if message.uuid == uuid]


@pytest.mark.parametrize("failures", [0, 2])
async def test_c11_a_receipt_tells_of_acceptance_and_of_the_commit_once(cluster: Cluster, failures: int) -> None:
    """A run that is repeated gives no receipt of its own; what the handler sent comes before the last receipt."""
    edge = await cluster.edge(Ledger())
    await cluster.worker(Ledger())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], str(failures), to_logic="ledger", uuid="m1", receipt=True)
    await edge.stub.simulate_client_message(ann, [], "0", to_logic="ledger", uuid="m2")
    await eventually(lambda: [one.message_raw for one in edge.stub.received(ann)].count(b"booked") == 2, within=10)
    got = edge.stub.received(ann)
    states = [facts["receipt"] for facts in receipts(got, "m1")]
    assert sorted(states) == ["accepted", "done"]
    booked = next(number for number, one in enumerate(got) if one.message_raw == b"booked")
    assert got.index(next(one for one in got if one.metadata.get("receipt") == "done")) == booked + 1
    assert receipts(got, "m2") == []


async def test_c11_a_receipt_tells_of_death_with_a_word(cluster: Cluster) -> None:
    edge = await cluster.edge(Ledger())
    await cluster.worker(Ledger())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], "9", to_logic="ledger", uuid="m1", receipt=True)
    await eventually(lambda: len(receipts(edge.stub.received(ann), "m1")) == 2, within=10)
    last = receipts(edge.stub.received(ann), "m1")[-1]
    assert last == {"receipt": "dead", "logic": "ledger", "reason": "attempts"}


async def test_c11_a_receipt_follows_its_client_to_another_node(cluster: Cluster) -> None:
    """The client has connected elsewhere by the time that its message is done."""
    one, two = await cluster.edge(Ledger()), await cluster.edge(Ledger())
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    await one.stub.simulate_client_message(ann, [], "0", to_logic="ledger", uuid="m1", receipt=True)
    await one.broke.remove_client("ann")
    moved = await two.stub.simulate_client_connection(Client(uuid="ann"))
    await cluster.worker(Ledger())
    await eventually(lambda: receipts(two.stub.received(moved), "m1") != [], within=10)
    assert receipts(two.stub.received(moved), "m1") == [{"receipt": "done", "logic": "ledger"}]


async def test_c11_what_gives_no_receipt_says_so(cluster: Cluster) -> None:
    """DISPATCHED logic gives none; beside a WORKER it may stand. A message that is refused has no receipt either."""
    full = Ledger()
    full.max_waiting, full.on_full = 1, "refuse"
    edge = await cluster.edge(full, Echo())
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], "0", to_logic="echo", receipt=True)
    [error] = edge.stub.errors(ann)
    assert isinstance(error, FrameInvalid)
    assert error.field == "receipt"
    await edge.stub.simulate_client_message(ann, [], "0", to_logic=["echo", "ledger"], uuid="m1", receipt=True)
    assert receipts(edge.stub.received(ann), "m1") == [{"receipt": "accepted", "logic": "ledger"}]
    await edge.stub.simulate_client_message(ann, [], "0", to_logic="ledger", uuid="m2", receipt=True)
    assert isinstance(edge.stub.errors(ann)[-1], QueueFull)
    assert receipts(edge.stub.received(ann), "m2") == []
    await edge.stub.simulate_client_message(ann, [], "0", to_logic="ghost", receipt=True)
    assert edge.stub.errors(ann)[-1].code == "logic_does_not_exist"


class Relay(LogicBase):
    async def run_logic(self, message: Message) -> None:
        message.to_logic = ("ledger",)
        await self.send_message(message)


async def test_c11_what_a_logic_sends_on_gives_no_receipts(cluster: Cluster) -> None:
    relay, ledger = Relay("relay", LogicType.WORKER), Ledger()
    edge = await cluster.edge(Relay("relay", LogicType.WORKER), Ledger())
    await cluster.worker(relay, ledger)
    ann = await edge.stub.simulate_client_connection()
    await edge.stub.simulate_client_message(ann, [], "0", to_logic="relay", uuid="m1", receipt=True)
    await eventually(lambda: b"booked" in [one.message_raw for one in edge.stub.received(ann)], within=10)
    assert {facts["logic"] for facts in receipts(edge.stub.received(ann), "m1")} == {"relay"}
