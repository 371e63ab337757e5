"""What one process makes of the groups, over adapters in memory: what is published arrives in the next loop turn."""

from __future__ import annotations

import pytest

from endpoints import StubEndpoint
from gobroke_dist import Client, ClientDoesNotExist, RedisUnavailable
from gobroke_dist.backends.memory.bus import MemoryBus
from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.backends.memory.groups import MemoryGroups
from gobroke_dist.backends.memory.registry import MemoryRegistry
from gobroke_dist.bus import Arrival
from gobroke_dist.group_directory import GroupDirectory
from gobroke_dist.hub import Hub
from gobroke_dist.metrics import Metrics
from gobroke_dist.registry import Member
from gobroke_dist.session import OutboxLimits, Session
from gobroke_dist.wire import node as wire
from gobroke_dist.wire.frame import JSONProtocol


class Process:
    """One process of the cluster, with its own clients."""

    def __init__(self, cluster: MemoryCluster, node: str) -> None:
        self.node = node
        self.hub = Hub(Metrics())
        self.bus = MemoryBus(cluster)
        self.registry = MemoryRegistry(cluster, 60)
        groups = MemoryGroups(cluster, self.bus)
        self.directory = GroupDirectory(
            node=node, hub=self.hub, registry=self.registry, groups=groups, bus=self.bus, timeout=0.2
        )

    async def listen(self) -> None:
        await self.registry.join(Member(self.node, "edge"))
        await self.bus.open(self.node, self._arrived)

    async def connect(self, uuid: str) -> Session:
        session = Session(Client(uuid=uuid), JSONProtocol(), OutboxLimits(10, 1000), lambda: None)
        session.client.node = self.node
        self.hub.add(session, StubEndpoint())
        await self.registry.register(session.client)
        return session

    def _arrived(self, arrival: Arrival) -> None:
        envelope = wire.decode(arrival.data)
        if isinstance(envelope, wire.Membership):
            self.directory.told(envelope)
        elif isinstance(envelope, wire.Echo):
            self.directory.echoed(envelope)


@pytest.fixture
async def processes() -> tuple[Process, Process]:
    cluster = MemoryCluster()
    one, two = Process(cluster, "n1"), Process(cluster, "n2")
    await one.listen()
    await two.listen()
    return one, two


async def test_c6_r5_a_process_that_joins_its_own_client_knows_it_at_once(processes: tuple[Process, Process]) -> None:
    """What it sends to the group next finds the client among its own; and not any more, once it has left."""
    one, _ = processes
    ann = await one.connect("ann")
    await one.directory.join_group(ann.client, "room")
    assert one.hub.members_of(["room"]) == {"ann"}
    await one.directory.leave_group("ann", "room")
    assert one.hub.members_of(["room"]) == set()


async def test_c6_catching_up_ends_when_all_that_was_published_before_has_arrived(
    processes: tuple[Process, Process],
) -> None:
    """Another process joins the client; its node knows when it has caught up."""
    one, two = processes
    ann = await one.connect("ann")
    await two.directory.join_group("ann", "room")
    await one.directory.catch_up()
    assert one.hub.membership.groups_of(ann.id) == {"room"}
    assert [client is ann.client for client in await one.directory.get_group("room")] == [True]
    assert [client is ann.client for client in await two.directory.get_group("room")] == [False]


async def test_c6_what_is_told_of_an_earlier_connection_changes_nothing(processes: tuple[Process, Process]) -> None:
    """The client is here again, and has joined nothing yet."""
    one, _ = processes
    ann = await one.connect("ann")
    one.directory.told(wire.Membership("ann", "an earlier session", "room", joined=True, token=""))
    one.directory.told(wire.Membership("ben", ann.id, "room", joined=True, token=""))
    assert not one.hub.membership


async def test_c6_a_node_that_hears_nothing_says_so(processes: tuple[Process, Process]) -> None:
    """The client has joined, and its node can't know it yet: the caller may try again."""
    one, two = processes
    ann = await one.connect("ann")
    await one.bus.close()
    with pytest.raises(RedisUnavailable, match=r"0\.2 s"):
        await one.directory.join_group(ann.client, "room")
    assert await two.directory.count_group("room") == 1


async def test_c6_only_who_is_connected_can_join(processes: tuple[Process, Process]) -> None:
    """A uuid that nobody has, and a client object whose connection is over."""
    one, two = processes
    with pytest.raises(ClientDoesNotExist, match="'nobody'"):
        await one.directory.join_group("nobody", "room")
    await one.connect("ann")
    with pytest.raises(ClientDoesNotExist, match="'ann'"):
        await two.directory.join_group(Client(uuid="ann", node="n1", session="over"), "room")
    await two.directory.leave_group("nobody", "room")
