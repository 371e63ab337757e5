"""The HTTP API with every role in a process of its own: the client on one edge, the API on another."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import redis

from gobroke_dist import CloseCode
from gobroke_dist.errors import DeadLetterDoesNotExist, Draining, Unavailable
from gobroke_dist.ops import APIClient, AsyncAPIClient
from tests.cluster.test_processes import process
from tests.eventually import eventually, eventually_sync

APP = "tests.ops.program:broke"
TOKEN = "a-token-for-processes"
WITH_API = r"(?s)(?=.*HTTP API listens at http)(?=.*ws://)"


@pytest.fixture
def environment(redis_url: str, prefix: str, tmp_path: Path) -> dict[str, str]:
    funds = str(tmp_path / "funds")
    return {"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_API_TOKENS": TOKEN, "FUNDS": funds}


@contextmanager
def edge(environment: dict[str, str]) -> Iterator[str]:
    """One without the API; the address of its endpoint."""
    with process("gobroke_dist.cli", "edge", APP, says=r"ws://\S+", **environment) as (_, said):
        yield _found(r"ws://[^\s,]+", said)


@contextmanager
def edge_with_api(environment: dict[str, str]) -> Iterator[str]:
    """One with it; the API's address. At the end it gets SIGTERM, and must exit with 0."""
    asked = environment | {"GOBROKE_API_PORT": "0"}
    with process("gobroke_dist.cli", "edge", APP, says=WITH_API, **asked) as (_, said):
        yield _found(r"(?<=listens at )http\S+?:\d+", said)


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    assert found is not None
    return found[0]


async def test_o4_one_edge_looks_after_the_clients_of_another(environment: dict[str, str]) -> None:
    """Send, broadcast, groups, lists, disconnect, revoke."""
    with edge(environment) as address, edge_with_api(environment) as url:
        async with aiohttp.ClientSession() as session, AsyncAPIClient(url, TOKEN) as api:
            ann = await session.ws_connect(f"{address}?client=ann")
            bob = await session.ws_connect(f"{address}?client=bob")
            for socket in (ann, bob):
                assert (await socket.receive_json(timeout=5))["type"] == "welcome"
            await api.join("room", "ann")
            assert [one.uuid for one in (await api.list_group("room")).clients] == ["ann"]
            await api.send({"n": 1}, to_client=["ann", "bob"])
            await api.send_to_group("room", "for the room")
            await api.broadcast([3])
            assert [(await ann.receive_json(timeout=5))["data"] for _ in range(3)] == [{"n": 1}, "for the room", [3]]
            assert [(await bob.receive_json(timeout=5))["data"] for _ in range(2)] == [{"n": 1}, [3]]
            await api.leave("room", "ann")
            assert (await api.count_group("room")).count == 0
            # aiohttp's client answers a close when it is read, and only then the connection is closed.
            closed, _ = await asyncio.gather(ann.receive(timeout=5), api.disconnect("ann"))
            assert closed.data == CloseCode.REMOVED
            closed, _ = await asyncio.gather(bob.receive(timeout=5), api.revoke("bob"))
            assert closed.data == CloseCode.REVOKED
            assert (await api.count_clients()).count == 0


def test_o4_w11_a_dead_letter_runs_again_by_the_api(environment: dict[str, str]) -> None:
    """It dies in a real worker, is found, requeued, and done; another is discarded. Nothing of it is asynchronous."""
    with (
        edge_with_api(environment) as url,
        process("gobroke_dist.cli", "worker", APP, says="worker is ready", **environment),
        APIClient(url, TOKEN) as api,
    ):
        uuids = [(sent := api.send(n, to_logic="ledger", wait=20)).uuid for n in range(3)]
        assert sent.state == "dead"
        first = api.list_dead(queue="ledger", limit=2)
        rest = api.list_dead(limit=2, cursor=first.cursor)
        assert (first.total, len(first.dead)) == (3, 2)
        found = [api.show_dead("ledger", one.id).message["message_id"] for one in (*first.dead, *rest.dead)]
        assert found == uuids[::-1]
        discarded, requeued = first.dead[0].id, first.dead[1].id
        api.discard_dead("ledger", discarded)
        with pytest.raises(DeadLetterDoesNotExist):
            api.requeue_dead("ledger", discarded)
        Path(environment["FUNDS"]).touch()
        api.requeue_dead("ledger", requeued)
        eventually_sync(lambda: api.list_dead().total == 1 or None, within=10)
        assert api.send("next", to_logic="ledger", wait=20).state == "done"
        assert [one.id for one in api.list_dead().dead] == [rest.dead[0].id]


async def test_o4_e7_an_edge_that_is_terminated_answers_and_is_gone(
    environment: dict[str, str], redis_url: str, prefix: str
) -> None:
    """Who waits hears 503 with Retry-After, as the how-to says; after that nothing listens, and nothing was lost."""
    store = redis.Redis.from_url(redis_url)
    with edge_with_api(environment) as url:
        api = AsyncAPIClient(url, TOKEN, attempts=1)
        waiting = asyncio.create_task(api.send("later", to_logic="ledger", uuid="m1", wait=30))
        await eventually(lambda: any(b"ledger" in key for key in store.scan_iter(f"{prefix}:*")), within=10)
    with pytest.raises(Draining):
        await asyncio.wait_for(waiting, 10)
    with pytest.raises(Unavailable, match="did not answer"):
        await api.count_clients()
    await api.close()
    Path(environment["FUNDS"]).touch()
    with (
        edge_with_api(environment) as url,
        process("gobroke_dist.cli", "worker", APP, says="worker is ready", **environment),
    ):
        async with AsyncAPIClient(url, TOKEN) as again:
            assert (await again.send("later", to_logic="ledger", wait=20)).state == "done"
            assert (await again.list_dead()).total == 0
    store.close()
