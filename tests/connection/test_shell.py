"""The asyncio client at a real edge, through connections that break (contract C7, C11)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from contextlib import AsyncExitStack

import pytest

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, CloseCode, JWTAuthenticator, Message, Settings
from gobroke_dist.connection import Connection, ConnectionLost, Ended, Gap, Lost, Opened, Options, Received, shell
from gobroke_dist.roles import edge
from gobroke_dist.testing.faults import Proxy
from tests.access.issuer import SECRET, signed
from tests.cluster.test_processes import APP
from tests.connection.logics import Asker, Twice
from tests.eventually import eventually


async def test_c7_c11_it_asks_is_asked_and_comes_back_with_what_it_missed(redis_url: str, prefix: str) -> None:
    """Through a connection that is reset; what is sent meanwhile comes once, and it can ask again."""
    broke = Broke(WebSocketEndpoint(port=0), settings=Settings(redis_url=redis_url, prefix=prefix))
    broke.add_logic(Twice())
    async with edge(broke) as node, Proxy(node.addresses[0]) as proxy:
        broke._operations = node.runtime.operations
        async with Connection(proxy.url, client="ann", options=Options(first_wait=0.1)) as ann, asyncio.timeout(10):
            events = aiter(ann)
            assert isinstance(await anext(events), Opened)
            assert await ann.request(21, to_logic="twice") == 42
            proxy.reset()
            assert isinstance(await anext(events), Lost)
            await broke.send_message(Message(to_client="ann", message_raw=b'"missed"'))
            opened, missed = await anext(events), await anext(events)
            assert isinstance(opened, Opened)
            assert opened.recovered
            assert isinstance(missed, Received)
            assert missed.data == "missed"
            assert await ann.request(4, to_logic="twice") == 8


async def test_c2_e5_who_was_replaced_does_not_come_back(redis_url: str, prefix: str) -> None:
    settings = Settings(redis_url=redis_url, prefix=prefix, duplicate_clients="replace")
    async with (
        edge(Broke(WebSocketEndpoint(port=0), settings=settings)) as node,
        asyncio.timeout(10),
        Connection(node.addresses[0], client="ann") as first,
    ):
        events = aiter(first)
        assert isinstance(await anext(events), Opened)
        async with Connection(node.addresses[0], client="ann") as second:
            assert isinstance(await anext(aiter(second)), Opened)
            ended = await anext(events)
            assert isinstance(ended, Ended)
            assert ended.code == CloseCode.REPLACED


async def test_e7_c7_a_node_that_drains_sends_it_to_another_with_what_it_missed(redis_url: str, prefix: str) -> None:
    """When the drained node has said, and not when it would have tried by itself. The try leads to the other, as a load
    balancer would have it, and it gets what was sent meanwhile.
    """
    settings = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=2, retry_spread=1)
    brokes = [Broke(WebSocketEndpoint(port=0), settings=settings) for _ in range(2)]
    async with edge(brokes[1]) as other, asyncio.timeout(20):
        brokes[1]._operations = other.runtime.operations
        async with AsyncExitStack() as first:
            node = await first.enter_async_context(edge(brokes[0]))
            by_itself = Options(first_wait=3600, longest_wait=3600)
            ann = Connection(node.addresses[0], client="ann", options=by_itself)
            await ann.__aenter__()
            events = aiter(ann)
            assert isinstance(await anext(events), Opened)
            ann._url = other.addresses[0]
        lost = await anext(events)
        assert isinstance(lost, Lost)
        assert lost.code == CloseCode.GOING_AWAY
        assert 0 <= lost.retry_in <= settings.retry_spread
        await brokes[1].send_message(Message(to_client="ann", message_raw=b"1"))
        opened, missed = await anext(events), await anext(events)
        assert isinstance(opened, Opened)
        assert (opened.recovered, opened.node) == (True, other.runtime.node)
        assert isinstance(missed, Received)
        assert missed.data == 1
        await ann.close()


async def test_c7_e4_what_a_slow_reader_has_lost_is_brought_by_coming_back(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told of the gap, comes back for it, and has each message once and in order."""
    monkeypatch.setattr(shell, "_UNREAD", 3)
    settings = Settings(redis_url=redis_url, prefix=prefix, channel_size=10, slow_consumers="drop_oldest")
    broke = Broke(WebSocketEndpoint(port=0), settings=settings)
    options = Options(first_wait=0.05)
    async with (
        edge(broke) as node,
        asyncio.timeout(40),
        Connection(node.addresses[0], client="ann", options=options) as ann,
    ):
        broke._operations = node.runtime.operations
        events = aiter(ann)
        assert isinstance(await anext(events), Opened)
        sent = 0
        while node.runtime.metrics.drops["dropped_oldest"] < 5:
            await broke.send_message(Message(to_client="ann", message_raw=json.dumps([sent, "x" * 50_000])))
            sent += 1
        numbers: list[int] = []
        gaps: list[Gap] = []
        opened: list[bool | None] = []
        while len(numbers) < sent:
            match await anext(events):
                case Gap() as gap:
                    gaps.append(gap)
                    await eventually(lambda: ann._machine.offset > gap.offset, within=5)  # what follows it waits behind
                    assert await ann.come_back(gap)
                case Opened() as event:
                    opened.append(event.recovered)
                case Received() as event:
                    numbers.append(event.data[0])
        assert numbers == list(range(sent))
        assert [gap.dropped >= 5 for gap in gaps] == [True]
        assert opened == [True]


async def test_c11_it_is_asked_and_answers_on_the_connection_that_brought_the_question(
    redis_url: str, prefix: str
) -> None:
    broke = Broke(WebSocketEndpoint(port=0), settings=Settings(redis_url=redis_url, prefix=prefix))
    broke.add_logic(Asker())
    async with (
        asyncio.timeout(15),
        edge(broke) as node,
        Proxy(node.addresses[0]) as proxy,
        Connection(proxy.url, client="ann", options=Options(first_wait=0.05)) as ann,
    ):
        events = aiter(ann)
        assert isinstance(await anext(events), Opened)
        told = asyncio.create_task(ann.request(None, to_logic="asker"))
        question = await anext(events)
        assert isinstance(question, Received)
        assert question.data == "who are you?"
        await ann.answer(question, "Ann")
        assert await told == "you are Ann"
        told = asyncio.create_task(ann.request(None, to_logic="asker"))
        question = await anext(events)
        assert isinstance(question, Received)
        proxy.reset()
        assert isinstance(await anext(events), Lost)
        assert isinstance(await anext(events), Opened)
        with pytest.raises(ConnectionLost):
            await ann.answer(question, "Ann")
        with pytest.raises(ConnectionLost):
            await told


async def test_e6_c7_a_link_that_went_silent_is_given_up_within_a_heartbeat_and_half(
    redis_url: str, prefix: str
) -> None:
    """The edge believes in the old connection still; it comes back all the same, with what was sent into the hole."""
    broke = Broke(WebSocketEndpoint(port=0), settings=Settings(redis_url=redis_url, prefix=prefix))
    async with edge(broke) as node, Proxy(node.addresses[0]) as proxy, asyncio.timeout(15):
        broke._operations = node.runtime.operations
        options = Options(first_wait=0.05)
        async with Connection(proxy.url, client="ann", heartbeat=0.5, options=options) as ann:
            events = aiter(ann)
            assert isinstance(await anext(events), Opened)
            proxy.go_deaf()
            await broke.send_message(Message(to_client="ann", message_raw=b'"into the hole"'))
            async with asyncio.timeout(2):
                assert isinstance(await anext(events), Lost)
            opened, missed = await anext(events), await anext(events)
            assert isinstance(opened, Opened)
            assert opened.recovered
            assert isinstance(missed, Received)
            assert missed.data == "into the hole"
            assert proxy.counts.swallowed > 0


async def test_e2_a_token_is_renewed_in_time_on_the_same_connection(redis_url: str, prefix: str) -> None:
    """Each lives 4 seconds; after 6 the connection is the first one still, and works."""
    broke = Broke(
        WebSocketEndpoint(port=0),
        settings=Settings(redis_url=redis_url, prefix=prefix),
        authenticator=JWTAuthenticator(algorithms=["HS256"], key=SECRET, leeway=0),
    )
    broke.add_logic(Twice())
    shown: list[str] = []

    async def token() -> str:
        shown.append(signed("ann", seconds=4))
        return shown[-1]

    async with edge(broke) as node, Connection(node.addresses[0], token=token) as ann:
        events = aiter(ann)
        assert isinstance(await anext(events), Opened)
        first_ends = asyncio.get_running_loop().time() + 5
        await eventually(lambda: len(shown) >= 3 and asyncio.get_running_loop().time() > first_ends, within=15)
        assert await ann.request(3, to_logic="twice") == 6
        assert ann._machine.dialled == 1


async def test_c7_a_node_that_is_killed(redis_url: str, prefix: str) -> None:
    """SIGKILL; the client comes back to another node, and has what was sent to it meanwhile, once."""
    broke = Broke(WebSocketEndpoint(port=0), settings=Settings(redis_url=redis_url, prefix=prefix))
    command = (sys.executable, "-m", "gobroke_dist.cli", "edge", APP)
    environment = os.environ | {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix}
    program = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=STDOUT)
    try:
        async with edge(broke) as other, asyncio.timeout(40):
            broke._operations = other.runtime.operations
            address = await told_by(program)
            async with Connection(address, client="ann", options=Options(first_wait=0.1)) as ann:
                events = aiter(ann)
                assert isinstance(await anext(events), Opened)
                ann._url = other.addresses[0]
                program.kill()
                assert isinstance(await anext(events), Lost)
                await broke.send_message(Message(to_client="ann", message_raw=b"1"))
                opened, missed = await anext(events), await anext(events)
                assert isinstance(opened, Opened)
                assert opened.recovered
                assert isinstance(missed, Received)
                assert missed.data == 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        await program.wait()


async def told_by(program: Process) -> str:
    """The address that an edge prints."""
    assert program.stdout is not None
    async for line in program.stdout:
        found = re.search(r"ws://[^\s,]+", line.decode())
        if found:
            return found[0]
    raise AssertionError("the edge has ended")
