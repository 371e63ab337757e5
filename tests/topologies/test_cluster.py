"""Redis Cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redis.crc import key_slot

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from tests.eventually import eventually
from tests.topologies.failover import neighbours, survives
from tests.topologies.product import works
from tests.topologies.servers import SLOTS, Sharded


@pytest.fixture
def prefix() -> str:
    """One in the first third of the slots, which the first node has."""
    return next(name for name in map("app{}".format, range(1000)) if key_slot(name.encode()) < SLOTS // 3)


async def test_c9_everything_works_in_a_cluster_on_the_node_that_has_its_slot(
    folder: Path, settings_for: Callable[..., Settings], prefix: str
) -> None:
    servers = Sharded(folder)
    settings = settings_for(servers.url)
    assert settings.prefix == f"{{{prefix}}}"
    with servers.running():
        await works(settings)
        sizes = [one.client.dbsize() for one in servers.primaries]
        assert sizes[0] > 0
        assert sizes[1:] == [0, 0]


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_c9_a_cluster_goes_on_without_the_node_that_had_its_slot(
    folder: Path, settings_for: Callable[..., Settings], how: str
) -> None:
    """Whatever was accepted before, while and after has its effect once, in order per key."""
    servers = Sharded(folder, replicas=1)
    with servers.running():
        fail = servers.fail if how == "killed" else servers.hang
        await survives(settings_for(servers.url), fail, servers.failed_over)


async def test_c9_who_only_listens_follows_when_the_primary_moves_without_a_failure(
    folder: Path, settings_for: Callable[..., Settings]
) -> None:
    """The node that was the primary lives on as a replica, and cuts no connection."""
    servers = Sharded(folder, replicas=1)
    settings = settings_for(servers.url)
    with servers.running():
        async with neighbours(settings) as check:
            servers.replicas[0].client.execute_command("CLUSTER", "FAILOVER")
            await eventually(servers.failed_over, within=20)
            await check()


async def test_c9_a_kept_connection_is_left_before_anything_is_sent_when_another_has_found_the_new_primary(
    folder: Path, settings_for: Callable[..., Settings]
) -> None:
    """So nothing that may not be sent twice is in doubt, and nobody sees an error."""
    servers = Sharded(folder, replicas=1)
    settings = settings_for(servers.url)
    with servers.running():
        first = connect(settings)
        second = connect(settings, beside=first)
        finder, line = (Line(one, name="the line", limit=10, repeat=False) for one in (first, second))
        key = f"{settings.prefix}:count"
        assert await line.call("INCR", key, read=int) == 1
        servers.replicas[0].client.execute_command("CLUSTER", "FAILOVER")
        await eventually(servers.failed_over, within=20)

        async def found() -> bool:
            try:
                return await finder.call("SET", f"{settings.prefix}:found", "x", read=bool)
            except RedisUnavailable:
                return False

        await eventually(found)
        assert await line.call("INCR", key, read=int) == 2
        for one in (finder, line):
            await one.close()
        for client in (first, second):
            await client.aclose()
