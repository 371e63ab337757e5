"""Who watches groups hears of each change once in the cluster, whatever node dies."""

from __future__ import annotations

import asyncio

import pytest

from gobroke_dist import Client, LogicBase, LogicInvalid, LogicType, Message, Tick
from tests.cluster.conftest import Cluster, Edge
from tests.cluster.test_groups import freeze
from tests.eventually import eventually


class Watcher(LogicBase):
    """Writes down what it hears, in a list that all copies of it share."""

    watches_groups = True

    def __init__(self, heard: list[str], kind: LogicType) -> None:
        super().__init__("watcher", kind)
        self.heard = heard

    async def run_logic(self, message: Message) -> None:
        change = message.json()
        self.heard.append(f"{change['client']} {change['event']} {change['group']}")


async def watched(cluster: Cluster, kind: LogicType, *, grace: float, edges: int = 3) -> tuple[list[Edge], list[str]]:
    """Some edges and a worker, and what their logic hears."""
    heard: list[str] = []
    settings = cluster.settings.model_copy(update={"presence_grace": grace, "node_lease": 0.9})
    made = [await cluster.edge(broke=cluster.broke([Watcher(heard, kind)], settings=settings)) for _ in range(edges)]
    await cluster.worker(broke=cluster.broke([Watcher(heard, kind)], settings=settings))
    return made, heard


@pytest.mark.parametrize("kind", [LogicType.DISPATCHED, LogicType.WORKER])
async def test_c6_r3_each_change_is_heard_once_in_the_cluster(cluster: Cluster, kind: LogicType) -> None:
    """Three edges and a worker have the logic; one of them runs it."""
    (one, two, three), heard = await watched(cluster, kind, grace=0.2)
    ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
    ben = await two.stub.simulate_client_connection(Client(uuid="ben"))
    await three.broke.join_group(ann, "room")
    await three.broke.join_group(ben, "room")
    await one.broke.leave_group(ben, "room")
    expected = ["ann joined room", "ben joined room", "ben left room"]
    await eventually(lambda: len(heard) >= 3, within=5)
    await one.stub.simulate_client_disconnection(ann)
    await eventually(lambda: len(heard) >= 4, within=5)
    await asyncio.sleep(1.2)  # another edge would have had two turns
    assert heard == [*expected, "ann left room"]


async def test_c6_a_client_that_reconnects_in_time_does_not_flap(cluster: Cluster) -> None:
    """On the same node or on another; one that does not come back has left."""
    (one, two, three), heard = await watched(cluster, LogicType.WORKER, grace=1.5)
    for edge in (one, two, three):
        ann = await edge.stub.simulate_client_connection(Client(uuid="ann"))
        await edge.broke.join_group(ann, "room")
        await asyncio.sleep(0.7)
        await edge.stub.simulate_client_disconnection(ann)
        assert await one.broke.count_group("room") == 0  # the snapshot is exact
    await eventually(lambda: len(heard) >= 2, within=8)
    assert heard == ["ann joined room", "ann left room"]


async def test_c6_c3_who_dies_with_its_node_has_left_once_also_if_that_node_was_telling(cluster: Cluster) -> None:
    """The first edge tells, and holds a client; it falls silent, and another one goes on."""
    (one, two), heard = await watched(cluster, LogicType.WORKER, grace=0.2, edges=2)
    for edge, uuid in ((one, "ann"), (two, "ben")):
        client = await edge.stub.simulate_client_connection(Client(uuid=uuid))
        await one.broke.join_group(client, "room")
    await eventually(lambda: len(heard) == 2, within=5)
    await freeze(one)
    await eventually(lambda: heard[2:] == ["ann left room"], within=8)
    assert [client.uuid for client in await two.broke.get_group("room")] == ["ben"]


async def test_c6_passive_logic_cannot_watch_groups(cluster: Cluster) -> None:
    """It never gets a message."""

    class Clock(LogicBase):
        logic_type = LogicType.PASSIVE
        every = 1.0
        watches_groups = True

        async def run_tick(self, tick: Tick) -> None:
            """Nothing."""

    with pytest.raises(LogicInvalid, match="no messages of groups"):
        cluster.broke([Clock()])
