"""What only the registry on a real Redis can show: trips, costs, refusals, lost replies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.registry import RedisRegistry
from gobroke_dist.backends.redis.track import Track
from gobroke_dist.client import Client
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.registry import Member
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Proxy
from tests.backends.places import RedisPlace
from tests.eventually import eventually


async def joined(place: RedisPlace, node: str) -> RedisRegistry:
    registry = place.registry()
    await registry.join(Member(node, "edge"))
    return registry


def client(uuid: str, node: str = "n1", session: str = "s1") -> Client:
    return Client(uuid, {"name": "Ann"}, node=node, session=session)


async def calls(place: RedisPlace) -> dict[str, int]:
    stats: dict[str, Any] = await place.redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): one["calls"] for name, one in stats.items()}


@pytest.fixture
def cut_replies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Put a number in: so many of the next trips are carried out and their replies lost."""
    left: list[int] = []
    trip = Track.trip

    async def cut(self: Track, commands: Sequence[bytes], **how: Any) -> list[Any]:
        replies = await trip(self, commands, **how)
        if left and left[0] > 0:
            left[0] -= 1
            raise RedisConnectionError("the reply was cut")
        return replies

    monkeypatch.setattr(Track, "trip", cut)
    return left


async def test_c4_listing_neither_scans_the_keyspace_nor_takes_a_trip_per_client(real: RedisPlace) -> None:
    here = await joined(real, "n1")
    await asyncio.gather(*(here.register(client(f"c{i}")) for i in range(1000)))
    await anext(here.pages(2000))  # the script is loaded now
    before = await calls(real)
    sizes = [len(page) async for page in here.pages(100)]
    assert await here.count() >= 1000
    after = await calls(real)
    assert sum(sizes) >= 1000
    assert after["evalsha"] - before["evalsha"] == len(sizes) <= 11
    assert after["hlen"] - before.get("hlen", 0) == 1
    assert all(after.get(name, 0) == before.get(name, 0) for name in ("keys", "scan"))


async def test_c4_the_next_page_is_on_its_way_while_one_is_looked_at(real: RedisPlace) -> None:
    here = await joined(real, "n1")
    await asyncio.gather(*(here.register(client(f"c{i}")) for i in range(1000)))
    await anext(here.pages(2000))  # the script is loaded now
    before = (await calls(real))["evalsha"]
    pages = here.pages(100)
    await anext(pages)

    async def asked() -> int:
        return (await calls(real))["evalsha"] - before

    async def two_are_asked_for() -> bool:
        return await asked() == 2

    assert await eventually(two_are_asked_for)
    assert await here.count() == 1000
    assert await asked() == 2, "no page is read ahead that nobody waits for"


async def test_c4_a_page_may_have_more_clients_than_a_script_can_unpack(own_server: RedisPlace) -> None:
    """Redis gives a small hash as a whole, and its user says what is small."""
    await own_server.redis.config_set("hash-max-listpack-entries", 10_000)
    here = await joined(own_server, "n1")
    await asyncio.gather(*(here.register(client(f"c{i}")) for i in range(8500)))
    [page] = [page async for page in here.pages(100)]
    assert len(page) == 8500
    latest = max(one.last_message for one in page)
    assert all(latest - one.last_message < timedelta(minutes=1) for one in page), "each has its own"


async def test_c4_many_calls_at_once_share_one_connection(real: RedisPlace, prefix: str) -> None:
    here = await joined(real, "n1")
    await asyncio.gather(*(here.register(client(f"c{i}")) for i in range(500)))
    names = [one["name"] for one in await real.redis.client_list()]
    assert names.count(prefix) == 2  # the registry's, and this test's own


async def test_c3_a_lease_runs_out_by_itself(real: RedisPlace) -> None:
    there = await joined(real, "n2")
    here = RedisRegistry(real.client(), real.keys, 0.2)
    await here.join(Member("n1", "edge"))
    await here.register(client("ann"))
    assert await there.locate(["ann"])

    async def gone() -> bool:
        return not await there.locate(["ann"])

    await eventually(gone)
    assert not await here.renew()
    assert await there.locate(["ann"])  # nobody took it meanwhile, and its node is back


async def test_c7_what_arrives_when_nobody_waits_for_it_any_more_moves_no_client(real: RedisPlace) -> None:
    """A Redis that stood still finds in its sockets that a client comes back, long after it has come back elsewhere."""
    there = await joined(real, "n2")
    await there.register(client("ann", "n2", "s1"))
    await there.keep(client("ann", "n2", "s1"), b"secret")
    async with Proxy(str(real.settings.redis_url)) as proxy:
        commands = connect(real.settings.model_copy(update={"redis_url": proxy.url}))
        here = RedisRegistry(commands, real.keys, 0.3)
        await here.join(Member("n1", "edge"))
        await joined(real, "n1")  # the lease is long enough
        proxy.faults.latency = 1.0
        with pytest.raises(RedisUnavailable):
            await here.come_back(client("ann", "n1", "s2"), b"secret")
        assert (await there.locate(["ann"]))["ann"].session == "s1"
        proxy.faults.latency = 0.0
        back = await here.come_back(client("ann", "n1", "s3"), b"secret")
        assert back is not None
        assert (await there.locate(["ann"]))["ann"].session == "s3"
        await here.close()
        await commands.aclose()


async def test_c10_a_redis_that_comes_back_empty_is_noticed(own_server: RedisPlace) -> None:
    here = await joined(own_server, "n1")
    await here.register(client("ann"))
    await own_server.redis.flushall()
    with pytest.raises(RedisUnavailable):
        await here.register(client("ann"))
    assert not await here.renew()
    await here.register(client("ann"))
    assert await here.locate(["ann"])
    assert await here.renew()


async def test_w18_a_renewal_whose_reply_was_lost_still_says_that_the_lease_had_run_out(
    real: RedisPlace, cut_replies: list[int]
) -> None:
    here = await joined(real, "n1")
    await real.expire("n1")
    cut_replies.append(2)
    with pytest.raises(RedisUnavailable):
        await here.renew()
    assert not await here.renew()
    assert await here.renew()


async def test_w18_a_call_whose_reply_was_lost_is_repeated_to_no_harm(real: RedisPlace, cut_replies: list[int]) -> None:
    here = await joined(real, "n1")
    cut_replies.append(1)
    await here.register(client("ann"))
    cut_replies[0] = 1
    assert set(await here.locate(["ann"])) == {"ann"}
    cut_replies[0] = 1
    await here.unregister(client("ann"))
    assert await here.count() == 0
    assert await here.renew()


async def test_w19_leases_are_renewed_and_clients_may_go_when_memory_is_full(own_server: RedisPlace) -> None:
    here, there = await joined(own_server, "n1"), await joined(own_server, "n2")
    await here.register(client("ann"))
    await own_server.redis.config_set("maxmemory", 1)
    with pytest.raises(RedisUnavailable, match=r"OOM|memory"):
        await here.register(client("bob"))
    assert await here.renew()
    await own_server.expire("n1")
    assert not await here.renew()
    assert await here.unregister(client("ann"))
    await here.leave()
    assert [member.node for member in await there.members()] == ["n2"]


async def test_c8_without_redis_every_call_says_so(tmp_path: Path, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=f"unix://{tmp_path}/nobody", redis_timeout=0.5))
    here = place.registry()
    for call in (
        here.join(Member("n1", "edge")),
        here.locate(["a"]),
        here.count(),
        anext(here.pages()),
        here.members(),
    ):
        with pytest.raises(RedisUnavailable):
            await call
    await place.close()


async def test_w14_past_its_limit_calls_are_refused(real: RedisPlace) -> None:
    here = RedisRegistry(real.client(), real.keys, 30, pending_limit=5)
    outcomes = await asyncio.gather(*(here.count() for _ in range(8)), return_exceptions=True)
    assert outcomes[:5] == [0] * 5
    assert [type(one) for one in outcomes[5:]] == [RedisUnavailable] * 3


async def test_w18_scripts_that_a_restarted_server_forgot_are_sent_again(real: RedisPlace) -> None:
    here = await joined(real, "n1")
    await here.register(client("ann"))
    await real.redis.script_flush()
    found = await asyncio.gather(here.locate(["ann"]), here.count(), here.locate(["ann"]))
    assert [len(found[0]), found[1], len(found[2])] == [1, 1, 1]
