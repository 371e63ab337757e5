"""The proxy: each fault does what it says, and is counted."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import redis

from gobroke_dist.testing.faults import Proxy, proxy_in_thread
from tests.eventually import eventually

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def serving(answer: Callable[..., Awaitable[None]]) -> AsyncIterator[str]:
    """A server; gives its address."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def echoing() -> AbstractAsyncContextManager[str]:
    """A server that says everything again."""
    return serving(echo)


@asynccontextmanager
async def through(proxy: Proxy) -> AsyncIterator[Streams]:
    """A client of the proxy."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def said(streams: Streams, data: bytes = b"hello") -> bytes:
    """What comes back, within a second."""
    streams[1].write(data)
    async with asyncio.timeout(1):
        return await streams[0].readexactly(len(data))


async def ended(streams: Streams) -> bool:
    """Whether the connection is over, within a second; how is the caller's to say."""
    async with asyncio.timeout(1):
        try:
            return await streams[0].read(1) == b""
        except ConnectionResetError:
            return True


async def test_o8_without_faults_bytes_pass() -> None:
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as client:
        assert await said(client, b"x" * 100_000) == b"x" * 100_000
        assert (proxy.counts.connections, proxy.counts.passed) == (1, 200_000)
        assert proxy.counts.cuts == proxy.counts.swallowed == proxy.counts.delayed == 0


async def test_o8_latency_and_jitter_make_everything_late() -> None:
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as client:
        proxy.faults.latency, proxy.faults.jitter = 0.05, 0.02
        began = time.monotonic()
        await said(client)
        assert 0.1 <= time.monotonic() - began < 0.9
        assert proxy.counts.delayed == 2


@pytest.mark.parametrize("directions", [("replies",), ("requests",), ()])
async def test_o8_a_silent_direction_keeps_the_connection_open(directions: tuple[str, ...]) -> None:
    """Half-open with one direction, a black hole with both: for new connections as well."""
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as old:
        await said(old)
        proxy.silence(*directions)
        async with through(proxy) as new:
            for client in (old, new):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await said(client)
                assert not client[0].at_eof()
            assert proxy.counts.swallowed == 10
            proxy.heal()
            assert await ended(old)
            assert await ended(new)
        async with through(proxy) as after:
            assert await said(after) == b"hello"


async def test_o8_a_deaf_connection_is_not_every_connection() -> None:
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as old:
        await said(old)
        proxy.go_deaf()
        async with through(proxy) as new:
            assert await said(new) == b"hello"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await said(old)


async def test_o8_a_reset_is_a_reset() -> None:
    """RST, not an orderly end; new connections work."""
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as client:
        await said(client)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(1):
                await client[0].read(1)
        await eventually(lambda: proxy.connections == 0)
        assert proxy.counts.resets == 1
        async with through(proxy) as new:
            assert await said(new) == b"hello"


async def test_o8_refused_connections_are_counted() -> None:
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as client:
        await said(client)
        proxy.refuse()
        assert await ended(client)
        async with through(proxy) as new:
            assert await ended(new)
        assert (proxy.counts.resets, proxy.counts.refused) == (1, 1)
        proxy.heal()
        async with through(proxy) as new:
            assert await said(new) == b"hello"


async def test_o8_a_connection_is_cut_after_so_many_bytes() -> None:
    """In the middle of an answer."""
    async with echoing() as target, Proxy(target) as proxy, through(proxy) as client:
        proxy.faults.cut_after = 7
        assert await said(client) == b"hello"
        client[1].write(b"world")
        async with asyncio.timeout(1):
            assert await client[0].read() in (b"wo", b"")
        assert proxy.counts.cuts >= 1


@pytest.mark.parametrize("direction", ["requests", "replies"])
async def test_o8_a_chance_cuts_some_connections_the_same_ones_in_every_run(direction: str) -> None:
    outcomes = []
    for _ in range(2):
        async with echoing() as target, Proxy(target, seed=3) as proxy:
            setattr(proxy.faults, f"cut_{direction}", 0.5)
            run = []
            for _ in range(20):
                async with through(proxy) as client:
                    try:
                        run.append(await said(client) == b"hello")
                    except (asyncio.IncompleteReadError, ConnectionError):
                        run.append(False)
            assert proxy.counts.cuts == run.count(False)
            outcomes.append(run)
    assert outcomes[0] == outcomes[1]
    assert {True, False} == set(outcomes[0])


@pytest.mark.parametrize(("direction", "arrived"), [("requests", False), ("replies", True)])
async def test_o8_a_cut_reply_is_one_to_a_request_that_arrived(direction: str, arrived: bool) -> None:
    """What a client can't tell apart, and must be safe against."""
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(1 << 16))
        writer.write(b"yes")
        writer.close()

    async with serving(answer) as target, Proxy(target) as proxy:
        setattr(proxy.faults, f"cut_{direction}", 1.0)
        async with through(proxy) as client:
            client[1].write(b"hello")
            async with asyncio.timeout(1):
                assert await client[0].read() in (b"", b"y")
        await eventually(lambda: len(got) == 1)
    assert (got == [b"hello"]) is arrived


async def test_o8_a_target_that_is_not_there_resets_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with Proxy(f"ws://127.0.0.1:{port}/ws?a=b") as proxy, through(proxy) as client:
        assert proxy.url == f"ws://127.0.0.1:{proxy.port}/ws?a=b"
        assert await ended(client)


async def test_o8_unix_sockets_on_both_sides() -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        here, there = Path(folder) / "here", Path(folder) / "there"
        server = await asyncio.start_unix_server(echo, str(there))
        async with Proxy(f"unix://{there}", socket=here) as proxy:
            assert proxy.url == f"unix://{here}"
            streams = await asyncio.open_unix_connection(str(here))
            assert await said(streams) == b"hello"
            proxy.reset()
            assert await ended(streams)
            streams[1].close()
        server.close()


def test_o8_a_proxy_on_a_thread_obeys_a_test_without_a_loop(redis_url: str) -> None:
    """With a real Redis behind it."""
    with proxy_in_thread(redis_url) as proxy, redis.Redis.from_url(proxy.url, socket_timeout=1) as client:
        assert client.ping()
        proxy.refuse()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        proxy.heal()
        assert client.ping()
        assert proxy.counts.resets == 1
