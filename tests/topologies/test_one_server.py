"""One server: with a user who may do no more than is published, and for two applications at once."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from gobroke_dist import ClientDoesNotExist, Message
from gobroke_dist.backends.redis.connection import connect, connect_sync
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.shuttle import Shuttle
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.keys import QueueKeys
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.scripts import script
from gobroke_dist.tasks.wire import Wire
from tests.cluster.conftest import Cluster
from tests.eventually import eventually
from tests.topologies.product import logics, works
from tests.topologies.servers import HOST, Server, running

_PAGE = Path(__file__).parents[2] / "docs/how-to/redis.md"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    with running([made]):
        yield made


def published_rule() -> list[str]:
    """The command of the documentation, word by word."""
    found = re.search(r"ACL SETUSER (.*?)\n\n", _PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1].split()


async def test_c9_everything_works_for_a_user_with_the_published_rule(
    server: Server, settings_for: Callable[..., Settings]
) -> None:
    """And nothing of it was denied; what is not needed is."""
    user, *rule = published_rule()
    assert user == "myapp"
    server.client.execute_command("ACL", "SETUSER", user, *rule)
    await works(settings_for(f"redis://myapp:SECRET@{HOST}:{server.port}/0", prefix="myapp"))
    denied: Any = server.client.execute_command("ACL", "LOG")
    assert denied == []
    with redis.Redis(host=HOST, port=server.port, username="myapp", password="SECRET") as one:
        for command in (
            ("GET", "other:key"), ("PUBLISH", "other:channel", "x"), ("SUBSCRIBE", "other:channel"), ("KEYS", "*"),
            ("FLUSHALL",), ("CONFIG", "GET", "*"), ("CLIENT", "KILL", "TYPE", "normal"), ("SCRIPT", "FLUSH"),
            ("EVAL", "return redis.call('GET', 'other:key')", 0),
        ):  # fmt: skip
            with pytest.raises(redis.ResponseError, match=r"(?i)permission|no-perm|NOPERM|can't access|not allowed"):
                one.execute_command(*command)


async def test_c9_two_applications_with_a_prefix_each_do_not_see_each_other(
    server: Server, settings_for: Callable[..., Settings]
) -> None:
    """Neither clients nor messages nor queues, though all names in them are the same."""
    url = f"redis://{HOST}:{server.port}/0"
    async with AsyncExitStack() as stack:
        one, other = (Cluster(settings_for(url, prefix=name), stack) for name in ("one", "other"))
        here, there = await one.edge(*logics()), await other.edge(*logics())
        ann, namesake = [await edge.stub.simulate_client_connection() for edge in (here, there)]
        assert [client.uuid for client in await here.broke.get_all_clients()] == [ann.uuid]
        with pytest.raises(ClientDoesNotExist):
            await here.broke.get_client(namesake.uuid)
        await here.broke.send_message(Message(to_all=True, message_raw=b"all"))
        await here.stub.simulate_client_message(ann, [], b"work", to_logic="plain")
        assert (await here.stub.next_message(ann)).message_raw == b"all"
        await other.worker(*logics())
        await there.stub.simulate_client_message(namesake, [], b"other work", to_logic="plain")
        await eventually(lambda: there.stub.received(namesake), within=10)
        assert [message.message_raw for message in there.stub.received(namesake)] == [b"other work"]
        assert len(here.stub.received(ann)) == 1, "its own worker has not been started"
    prefixes = {name.split(b":")[0] for name in server.client.scan_iter("*")}
    assert prefixes == {b"one", b"other"}


async def test_c9_a_kept_connection_to_a_server_that_takes_no_writes_any_more_is_given_up(
    server: Server, settings_for: Callable[..., Settings]
) -> None:
    """Its address may be a name, which leads to another server when it is asked for again."""
    settings = settings_for(f"redis://{HOST}:{server.port}/0?client_name=mine")
    loop_client, client = connect(settings), connect_sync(settings)
    shuttle, wire = Shuttle(loop_client, timeout=2), Wire(client)
    line = Line(loop_client, name="the line", limit=10, repeat=False)
    keys = QueueKeys(settings.prefix, "chat")
    call = [keys.fences, keys.deliveries], ["id", 1]

    async def write() -> list[Any]:
        [by_loop] = await shuttle.run([(script("start"), *call)])
        [by_line] = await asyncio.gather(line.run(script("start"), *call, read=int), return_exceptions=True)
        [by_thread] = await asyncio.gather(asyncio.to_thread(wire.run, "start", *call), return_exceptions=True)
        return [by_loop, by_line, by_thread]

    assert await write() == [0, 0, 0]
    before = _connections(server)
    server.client.replicaof(HOST, 1)
    errors = await write()
    assert [type(error) for error in errors] == [RedisUnavailable, RedisUnavailable, redis.ConnectionError]
    assert all("read only replica" in str(error) for error in errors)
    server.client.replicaof("NO", "ONE")
    assert await write() == [0, 0, 0]
    assert len(_connections(server)) == 3
    assert not _connections(server) & before
    wire.close()
    client.close()
    await shuttle.close()
    await line.close()
    await loop_client.aclose()


@pytest.mark.parametrize("blocking", [False, True])
def test_c9_a_server_that_stands_still_when_it_is_connected_to_is_not_waited_for(
    settings_for: Callable[..., Settings], blocking: bool
) -> None:
    """Not even by who waits without a timeout once it is connected."""
    with socket.create_server((HOST, 0)) as still:
        settings = settings_for(f"redis://{HOST}:{still.getsockname()[1]}/0?client_name=mine", redis_timeout=0.2)
        client = connect_sync(settings, blocking=blocking)
        with pytest.raises(redis.TimeoutError):
            client.connection_pool.get_connection()
        client.close()


def _connections(server: Server) -> set[str]:
    """The ids of the test's own."""
    found: list[dict[str, str]] = server.client.client_list()
    return {one["id"] for one in found if one["name"] == "mine"}
