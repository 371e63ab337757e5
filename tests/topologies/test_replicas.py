"""``wait_replicas``: what counts as accepted is on a replica as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from dramatiq.errors import ConnectionClosed

from gobroke_dist.client import Client
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer
from tests.backends.places import RedisPlace
from tests.eventually import eventually
from tests.tasks.sending import send, task
from tests.topologies.servers import HOST, Server, running


@pytest.fixture
def servers(folder: Path) -> list[Server]:
    """A primary, and its replica."""
    primary = Server(folder)
    return [primary, Server(folder, f"replicaof {HOST} {primary.port}")]


@pytest.fixture
async def settings(servers: list[Server], settings_for: Callable[..., Settings]) -> AsyncIterator[Settings]:
    primary, _ = servers
    with running(servers):
        await eventually(lambda: primary.client.info("replication")["connected_slaves"] == 1, within=20)
        yield settings_for(f"redis://{HOST}:{primary.port}/0", redis_timeout=1, wait_replicas=1)


async def test_c9_nothing_counts_as_accepted_that_a_failover_could_lose(
    servers: list[Server], settings: Settings
) -> None:
    """The replica that is frozen would be the next primary, and has nothing of what was sent since."""
    _, replica = servers
    place = RedisPlace(settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(place.close)
        broker = OrderedBroker(settings)
        stack.callback(broker.close)
        producer = AsyncProducer(broker, place.client(), settings, Metrics())
        producer.start()
        stack.push_async_callback(producer.close)
        bus, groups = place.bus(), place.groups()
        stack.push_async_callback(bus.close)
        stack.push_async_callback(groups.close)

        await producer.enqueue(task("a", 1))
        await bus.broadcast(b"news")
        send(broker, "a", 2)
        assert replica.client.hlen(broker.keys("chat").messages) == 2

        replica.freeze()
        for refused in (
            producer.enqueue(task("a", 3, uuid="third")),
            bus.broadcast(b"news"),
            groups.join(Client(uuid="ann", node="n1"), "g", b"news"),
        ):
            with pytest.raises(RedisUnavailable, match=r"0 of 1 replicas have it, after 0\.5 s"):
                await refused
        with pytest.raises(ConnectionClosed, match="0 of 1 replicas"):
            await asyncio.to_thread(send, broker, "a", 4, uuid="fourth")

        replica.thaw()
        await producer.enqueue(task("a", 3, uuid="third"))  # as the error says; it is the same message
        await asyncio.to_thread(send, broker, "a", 4, uuid="fourth")
        assert replica.client.hlen(broker.keys("chat").messages) == 4
