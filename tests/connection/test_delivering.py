"""What the asyncio client delivers to WORKER logic, and what it is told of it (contract C11, W12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, Settings
from gobroke_dist.connection import Connection, MessageRefused, Opened, Options, Receipt, TimedOut
from gobroke_dist.roles import edge, worker
from gobroke_dist.testing.faults import Proxy
from tests.connection.logics import Ledger
from tests.eventually import eventually

QUICK = Options(first_wait=0.01, longest_wait=0.02)


@asynccontextmanager
async def ledger(redis_url: str, prefix: str, *, working: bool = True) -> AsyncIterator[tuple[str, Ledger]]:
    """An edge's address, and the logic of the worker beside it."""
    settings = Settings(redis_url=redis_url, prefix=prefix, threads=2)
    brokes = [Broke(WebSocketEndpoint(port=0), settings=settings) for _ in range(2)]
    logics = [Ledger(), Ledger()]
    for broke, logic in zip(brokes, logics, strict=True):
        broke.add_logic(logic)
    async with edge(brokes[0]) as node:
        if working:
            async with worker(brokes[1]):
                yield node.addresses[0], logics[1]
        else:
            yield node.addresses[0], logics[1]


async def test_c11_w12_it_hears_what_became_of_a_message_and_one_uuid_counts_once(redis_url: str, prefix: str) -> None:
    async with ledger(redis_url, prefix) as (url, logic), Connection(url) as ann, asyncio.timeout(20):
        assert await ann.deliver(1, to_logic="ledger", uuid="m1") == Receipt("m1", "done")
        accepted = await ann.deliver(2, to_logic="ledger", uuid="m2", until="accepted")
        assert accepted.state in ("accepted", "done")  # done may overtake it, and says as much
        assert (await ann.deliver(1, to_logic="ledger", uuid="m1", until="accepted")).state == "accepted"
        assert await ann.deliver(-1, to_logic="ledger", uuid="m3") == Receipt("m3", "dead", "attempts")
        assert await ann.deliver(3, to_logic="ledger", uuid="m4") == Receipt("m4", "done")
    assert logic.handled == [1, 2, 3]


async def test_c11_it_is_told_what_was_refused_and_what_was_only_accepted(redis_url: str, prefix: str) -> None:
    """Without a worker nothing is done; that it waits in Redis is known all the same."""
    async with ledger(redis_url, prefix, working=False) as (url, _), Connection(url) as ann, asyncio.timeout(20):
        with pytest.raises(MessageRefused) as refused:
            await ann.deliver(1, to_logic="nobody")
        assert refused.value.code == "logic_does_not_exist"
        with pytest.raises(TimedOut) as late:
            await ann.deliver(1, to_logic="ledger", timeout=0.5)
        assert late.value.accepted


async def test_w12_c7_through_resets_each_of_200_is_handled_once_and_in_order(redis_url: str, prefix: str) -> None:
    """The connection is reset every 50 ms, while they are sent and while they are accepted."""
    async with (
        asyncio.timeout(60),
        ledger(redis_url, prefix) as (url, logic),
        Proxy(url) as proxy,
        Connection(proxy.url, client="ann", options=QUICK) as ann,
    ):
        assert isinstance(await anext(aiter(ann)), Opened)
        resetting = asyncio.create_task(reset_every(proxy, 0.05))
        deliveries = []
        for number in range(200):
            deliveries.append(asyncio.create_task(ann.deliver(number, to_logic="ledger", until="accepted")))
            await asyncio.sleep(0.005)
        receipts = await asyncio.gather(*deliveries)
        resetting.cancel()
        await eventually(lambda: len(logic.handled) >= 200, within=20)
    assert {receipt.state for receipt in receipts} <= {"accepted", "done"}
    assert logic.handled == list(range(200))
    assert proxy.counts.resets > 10


async def reset_every(proxy: Proxy, seconds: float) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        proxy.reset()
