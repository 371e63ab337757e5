"""Script calls on a connection that is kept: order, and that no answer is ever taken for another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import redis.asyncio

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.scripts import Script, made_of
from gobroke_dist.backends.redis.shuttle import Shuttle
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Proxy

ECHO = made_of("return ARGV[1]")
PUSH = made_of("return redis.call('RPUSH', KEYS[1], ARGV[1])")
BROKEN = made_of("return redis.call('RPUSH', KEYS[1])")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    made = connect(Settings(redis_url=redis_url))
    yield made
    await made.aclose()


@pytest.fixture
async def shuttle(client: redis.asyncio.Redis) -> AsyncIterator[Shuttle]:
    made = Shuttle(client, timeout=2)
    yield made
    await made.close()


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url) as made:
        yield made


async def test_answers_come_in_the_order_of_the_calls(shuttle: Shuttle) -> None:
    first, second = await asyncio.gather(
        shuttle.run([(ECHO, [], [n]) for n in range(50)]), shuttle.run([(ECHO, [], [b"\xff\r\n"])])
    )
    assert (first, second) == ([str(n).encode() for n in range(50)], [b"\xff\r\n"])


async def test_a_call_that_redis_refuses_is_its_own_error_only(shuttle: Shuttle, prefix: str) -> None:
    key = f"{prefix}:list"
    before, error, after = await shuttle.run([(PUSH, [key], ["a"]), (BROKEN, [key], []), (PUSH, [key], ["b"])])
    assert (before, after) == (1, 2)
    assert isinstance(error, redis.ResponseError)


async def test_a_script_is_sent_in_full_only_to_a_server_that_does_not_know_it(
    shuttle: Shuttle, client: redis.asyncio.Redis
) -> None:
    new = made_of(f"return ARGV[1] .. '{time.monotonic_ns()}'")
    assert (await client.script_exists(new.sha)) == [False]
    [first] = await shuttle.run([(new, [], ["x"])])
    assert (await client.script_exists(new.sha)) == [True]
    unknown_text = Script("return 'never sent'", new.sha)
    assert await shuttle.run([(unknown_text, [], ["x"])]) == [first]


async def test_one_connection_is_kept_and_given_back_as_it_was(redis_url: str) -> None:
    client = connect(Settings(redis_url=redis_url, redis_timeout=3))
    shuttle = Shuttle(client, timeout=2)
    for _ in range(3):
        await shuttle.run([(ECHO, [], ["x"])])
    pool = client.connection_pool
    assert (len(pool._in_use_connections), len(pool._available_connections)) == (1, 0)
    await shuttle.close()
    [connection] = pool._available_connections
    assert connection.socket_timeout == 3
    assert await client.ping()
    await client.aclose()


async def test_c8_a_connection_that_was_cut_is_an_error_once_and_then_replaced(proxy: Proxy) -> None:
    client = connect(Settings(redis_url=proxy.url))
    shuttle = Shuttle(client, timeout=2)
    await shuttle.run([(ECHO, [], ["x"])])
    proxy.faults.cut_replies = 1.0
    [error] = await shuttle.run([(ECHO, [], ["lost"])])
    assert isinstance(error, RedisUnavailable)
    proxy.heal()
    assert await shuttle.run([(ECHO, [], ["y"])]) == [b"y"]
    proxy.refuse()
    for _ in range(2):
        [error] = await shuttle.run([(ECHO, [], ["z"])])
        assert isinstance(error, RedisUnavailable)
    proxy.heal()
    assert await shuttle.run([(ECHO, [], ["z"])]) == [b"z"]
    await shuttle.close()
    await client.aclose()


async def test_c8_a_late_answer_is_not_taken_for_the_answer_to_something_else(client: redis.asyncio.Redis) -> None:
    shuttle = Shuttle(client, timeout=0.1)
    await shuttle.run([(ECHO, [], ["x"])])
    await client.client_pause(300)
    began = time.monotonic()
    [error] = await shuttle.run([(ECHO, [], ["late"])])
    assert isinstance(error, RedisUnavailable)
    assert time.monotonic() - began < 0.3, "the trip, connecting included, is bounded"
    await client.ping()
    assert await shuttle.run([(ECHO, [], ["y"])]) == [b"y"]
    await shuttle.close()


async def test_a_trip_that_is_cancelled_leaves_no_answer_behind(shuttle: Shuttle, client: redis.asyncio.Redis) -> None:
    await shuttle.run([(ECHO, [], ["x"])])
    await client.client_pause(200)
    trip = asyncio.create_task(shuttle.run([(ECHO, [], ["cancelled"])]))
    await asyncio.sleep(0)
    trip.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trip
    await client.ping()
    assert await shuttle.run([(ECHO, [], ["y"])]) == [b"y"]


async def test_c9_a_user_and_a_database_of_the_url_are_used(
    redis_url: str, client: redis.asyncio.Redis, prefix: str
) -> None:
    await client.acl_setuser(prefix, enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    url = f"unix://{prefix}:secret@{urlsplit(redis_url).path}?db=3"
    inside = connect(Settings(redis_url=url))
    shuttle = Shuttle(inside, timeout=2)
    key = f"{prefix}:list"
    assert await shuttle.run([(PUSH, [key], ["x"])]) == [1]
    assert not await client.exists(key)
    await shuttle.close()
    assert await inside.delete(key) == 1
    await inside.aclose()
    await client.acl_deluser(prefix)
