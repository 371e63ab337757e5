"""Trips on a connection that is kept: what becomes of it between two trips, and of what is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import RedisError, ResponseError

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.line import Line
from gobroke_dist.backends.redis.scripts import made_of
from gobroke_dist.backends.redis.track import Track, packed
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Proxy
from tests.backends.places import RedisPlace
from tests.eventually import eventually

_BUSY = made_of(
    "if redis.replicate_commands then redis.replicate_commands() end "
    "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
    "local ends = now() + ARGV[1] while now() < ends do end return ARGV[1]"
)


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    async with Proxy(redis_url) as made:
        yield made


@pytest.fixture
async def track(real: RedisPlace) -> AsyncIterator[Track]:
    made = Track(real.client(), timeout=0.4)
    yield made
    await made.close()


async def kept(place: RedisPlace) -> set[str]:
    """The ids of this test's connections, without the one that asks."""
    found: list[dict[str, str]] = await place.redis.client_list()
    return {one["id"] for one in found if one["name"] == place.settings.prefix and one["cmd"] != "client|list"}


async def test_a_trip_brings_an_answer_for_each_command_and_none_for_none(track: Track) -> None:
    refused = packed("EVAL", "return redis.error_reply('ERR mine')", 0)
    first, error, last = await track.trip([packed("ECHO", "a\r\n"), refused, packed("ECHO", b"\xff")])
    assert (first, last) == (b"a\r\n", b"\xff")
    assert isinstance(error, ResponseError)
    assert await track.trip([]) == []
    assert await track.trip([packed("ECHO", 7)]) == [b"7"]


async def test_c8_a_connection_that_redis_has_cut_between_two_trips_is_nobody_s_error(
    real: RedisPlace, track: Track
) -> None:
    """It is replaced before anything is sent: nothing is in doubt, and nothing is sent twice."""
    line = Line(real.client(), name="the line", limit=10, repeat=False)
    key = f"{real.settings.prefix}:count"
    for number in range(1, 4):
        assert await line.call("INCR", key, read=int) == number
        assert await track.trip([packed("GET", key)]) == [str(number).encode()]
        before = await kept(real)
        assert len(before) == 2
        for one in before:
            await real.redis.client_kill_filter(_id=one)
        await eventually(real.redis.ping)
    await line.close()


async def test_c8_a_half_open_connection_costs_one_wait_and_is_then_replaced(proxy: Proxy) -> None:
    client = connect(Settings(redis_url=proxy.url, redis_timeout=0.2))
    line = Line(client, name="the line", limit=10, repeat=True)
    assert await line.call("ECHO", "a", read=bytes) == b"a"
    proxy.go_deaf()
    began = time.monotonic()
    with pytest.raises(RedisUnavailable):
        await line.call("ECHO", "lost", read=bytes)
    assert time.monotonic() - began < 2 * 0.2
    assert await line.call("ECHO", "b", read=bytes) == b"b"
    await line.close()
    await client.aclose()


async def test_c8_a_connection_that_is_cut_on_the_way_is_worth_a_second_try_where_calls_may_be_repeated(
    proxy: Proxy, prefix: str
) -> None:
    client = connect(Settings(redis_url=proxy.url))
    careful, bold = (Line(client, name="the line", limit=10, repeat=repeat) for repeat in (False, True))
    for line in (careful, bold):
        assert await line.call("ECHO", "a", read=bytes) == b"a"
        proxy.silence("replies")
        call = line.call("SADD", f"{prefix}:set", "x", read=int)
        await eventually(lambda: proxy.counts.swallowed > 0)
        proxy.counts.swallowed = 0
        proxy.heal()  # resets it
        if line is careful:
            with pytest.raises(RedisUnavailable):
                await call
        else:
            assert await call == 0, "it has been carried out before"
        assert await line.call("ECHO", "b", read=bytes) == b"b"
        await line.close()
    await client.aclose()


async def test_a_line_whose_trip_is_cancelled_gives_nobody_the_answers_of_others(real: RedisPlace) -> None:
    line = Line(real.client(), name="the line", limit=10, repeat=False)
    await line.call("ECHO", "a", read=bytes)
    await real.redis.client_pause(200)
    calls = [line.call("ECHO", word, read=bytes) for word in ("cancelled", "too")]
    await asyncio.sleep(0)
    assert line._task is not None
    line._task.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in outcomes} == {asyncio.CancelledError}
    assert await asyncio.gather(*(line.call("ECHO", n, read=int) for n in range(3))) == [0, 1, 2]
    await line.close()


async def test_c8_redis_is_not_taken_for_silent_while_it_answers(real: RedisPlace) -> None:
    """Many calls may take longer than one is waited for. So much does Redis not read, and answer, at once."""
    track = Track(real.client(), timeout=0.2)
    busy = packed("EVAL", _BUSY.source, 0, 70, b"." * 20_000)
    began = time.monotonic()
    assert await track.trip([busy] * 5) == [b"70"] * 5
    assert time.monotonic() - began > 0.3
    with pytest.raises(redis.TimeoutError):
        await track.trip([packed("BLPOP", "nothing", 1)])
    assert time.monotonic() - began < 1
    await track.close()


async def test_a_call_of_a_quiet_line_is_sent_in_the_next_turn_of_the_loop(real: RedisPlace) -> None:
    line = Line(real.client(), name="the line", limit=10, repeat=False)
    key, url = f"{real.settings.prefix}:key", real.settings.redis_url
    await line.call("PING", read=bool)
    written = line.call("SET", key, "x", read=bool)
    await asyncio.sleep(0)
    with redis.Redis.from_url(url) as other:
        assert any(other.get(key) == b"x" for _ in range(100)), "the loop has not turned meanwhile"
    assert await written
    await line.close()


async def test_a_line_that_is_closed_settles_what_it_took_and_gives_its_connection_back_as_it_was(
    real: RedisPlace,
) -> None:
    client = real.client()
    line, pool = Line(client, name="the line", limit=10, repeat=False), client.connection_pool
    calls = [line.call("ECHO", n, read=int) for n in range(3)]
    await line.close()
    assert [call.result() for call in calls] == [0, 1, 2]
    assert (len(pool._in_use_connections), len(pool._available_connections)) == (0, 1)
    assert pool._available_connections[0].socket_timeout == real.settings.redis_timeout
    await line.close()
    assert await line.call("ECHO", 4, read=int) == 4, "it may be used again"
    assert len(await kept(real)) == 1


async def test_whoever_owns_the_pool_closes_what_is_kept_of_it(real: RedisPlace) -> None:
    client = connect(real.settings)
    tracks = [Track(client, timeout=1) for _ in range(3)]
    await asyncio.gather(*(track.trip([packed("PING")]) for track in tracks))
    assert len(await kept(real)) == 3
    await client.aclose()

    async def gone() -> bool:
        return not await kept(real)

    await eventually(gone)


async def test_c8_a_redis_that_cannot_be_reached_is_an_error_until_it_can(proxy: Proxy) -> None:
    client = connect(Settings(redis_url=proxy.url))
    track = Track(client, timeout=2)
    outcomes: list[Any] = []
    for fault in (proxy.refuse, proxy.heal, proxy.refuse, proxy.heal):
        fault()
        try:
            outcomes += await track.trip([packed("PING")])
        except (RedisError, OSError):
            outcomes.append(None)
    assert outcomes == [None, b"PONG", None, b"PONG"]
    await track.close()
    await client.aclose()
