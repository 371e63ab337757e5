"""What only the bus on a real Redis can show: lost connections, silence, lost replies, bounds."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from gobroke_dist.backends.redis.bus import RedisBus
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.track import Track
from gobroke_dist.errors import QueueFull, RedisUnavailable
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Proxy
from tests.backends.places import RedisPlace
from tests.eventually import eventually


@pytest.fixture
async def bus(real: RedisPlace) -> AsyncIterator[RedisBus]:
    made = real.bus()
    yield made
    await made.close()


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        async with Proxy(redis_url, socket=Path(folder) / "proxy.sock") as made:
            yield made


async def listeners(place: RedisPlace) -> list[str]:
    """Ids of this test's pub/sub connections."""
    found: list[dict[str, str]] = await place.redis.client_list(_type="pubsub")
    name = place.settings.prefix
    return [one["id"] for one in found if one["name"] == name]


async def arrives(bus: RedisBus, node: str, got: list[bytes], data: bytes) -> None:
    async def check() -> bool:
        await bus.publish(node, data)
        return data in got

    await eventually(check)


async def test_c8_a_cut_subscription_comes_back_and_leaks_no_connection(real: RedisPlace, bus: RedisBus) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    for attempt in range(3):
        (before,) = await listeners(real)
        await real.redis.execute_command("CLIENT KILL", "ID", before, "TYPE", "pubsub")
        await arrives(bus, "n1", got, b"%d" % attempt)
        (after,) = await listeners(real)
        assert after != before
    assert real.metrics.counts["bus_reconnects"] == 3
    names = [one["name"] for one in await real.redis.client_list()]
    assert names.count(real.settings.prefix) == 3  # subscription, publisher, this test's own


async def test_c8_a_peer_that_went_silent_is_noticed(proxy: Proxy, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=proxy.url, redis_timeout=0.2))
    listening, sending = place.bus(), place.bus()
    got: list[bytes] = []
    await listening.open("n1", lambda arrival: got.append(arrival.data))
    await arrives(sending, "n1", got, b"before")
    proxy.go_deaf()
    assert isinstance((await asyncio.gather(sending.publish("n1", b"lost"), return_exceptions=True))[0], Exception)
    await arrives(sending, "n1", got, b"after")
    assert place.metrics.counts["bus_reconnects"] == 1
    await eventually(lambda: proxy.connections == 3)  # the subscription and two for commands, and no deaf one
    await listening.close()
    await place.close()


async def test_an_idle_subscription_stays(proxy: Proxy, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=proxy.url, redis_timeout=0.05))
    bus = place.bus()
    await bus.open("n1", lambda _: None)

    async def probes() -> int:
        stats = await place.redis.info("commandstats")
        return int(stats.get("cmdstat_publish", {"calls": 0})["calls"])

    before = await probes()

    async def probed() -> bool:
        return await probes() >= before + 5

    await eventually(probed)
    assert place.metrics.counts["bus_reconnects"] == 0
    await bus.close()
    await place.close()


async def test_w18_a_publish_whose_reply_was_lost_is_not_sent_again(
    real: RedisPlace, bus: RedisBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    trip = Track.trip

    async def cut(self: Track, commands: Sequence[bytes], **how: Any) -> list[Any]:
        await trip(self, commands, **how)
        raise RedisConnectionError("the reply was cut")

    with monkeypatch.context() as patch:
        patch.setattr(Track, "trip", cut)
        with pytest.raises(RedisUnavailable, match="cut"):
            await bus.publish("n1", b"once")
    await bus.publish("n1", b"end")
    await eventually(lambda: got[-1:] == [b"end"])
    assert got == [b"once", b"end"]


async def test_w14_past_its_limit_a_publish_is_refused(real: RedisPlace) -> None:
    settings = real.settings.model_copy(update={"pending_limit": 5})
    bus = RedisBus(real.client(), real.client(blocking=True), real.keys, settings, real.metrics)
    outcomes = await asyncio.gather(*(bus.publish("n1", b"x") for _ in range(8)), return_exceptions=True)
    assert outcomes[:5] == [False] * 5
    assert [type(one) for one in outcomes[5:]] == [QueueFull] * 3
    assert await bus.publish("n1", b"x") is False


async def test_a_failure_that_nobody_awaits_is_not_reported_as_unseen(tmp_path: Path, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=f"unix://{tmp_path}/nobody", redis_timeout=0.5))
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    bus = place.bus()
    bus.publish("n1", b"x")
    await bus.close()
    gc.collect()
    assert unseen == []
    await place.close()


async def test_c8_without_redis_every_call_says_so(tmp_path: Path, prefix: str) -> None:
    place = RedisPlace(Settings(prefix=prefix, redis_url=f"unix://{tmp_path}/nobody", redis_timeout=0.5))
    bus = place.bus()
    for call in (bus.publish("n1", b""), bus.broadcast(b""), bus.request("n1", b"", timeout=1)):
        with pytest.raises(RedisUnavailable):
            await call
    with pytest.raises(RedisUnavailable):
        await bus.open("n1", lambda _: None)
    await bus.close()
    await place.close()


async def test_a_datum_of_somebody_else_is_counted_and_dropped(real: RedisPlace, bus: RedisBus) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    await real.redis.publish(real.keys.channel("n1").name, b"\x07foreign")
    await bus.publish("n1", b"end")
    await eventually(lambda: got == [b"end"])
    assert real.metrics.drops["bad_datum"] == 1


async def test_r8_a_receiver_that_raises_is_counted(real: RedisPlace, bus: RedisBus) -> None:
    def receive(_: object) -> None:
        raise RuntimeError("no")

    await bus.open("n1", receive)
    await bus.publish("n1", b"x")
    await eventually(lambda: real.metrics.drops["receiver_error"] == 1)


async def test_r5_what_one_turn_of_the_loop_publishes_is_one_trip(
    real: RedisPlace, bus: RedisBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    trip = Track.trip

    async def counted(self: Track, commands: Sequence[bytes], **how: Any) -> list[Any]:
        trips.append(len(commands))
        return await trip(self, commands, **how)

    monkeypatch.setattr(Track, "trip", counted)
    await asyncio.gather(*(bus.publish("n1", b"x") for _ in range(100)))
    assert trips == [100]


async def test_c11_a_request_that_is_given_up_leaves_no_key_and_no_waiting_client(
    real: RedisPlace, bus: RedisBus
) -> None:
    await bus.open("n1", lambda _: None)
    with pytest.raises(TimeoutError):
        await bus.request("n1", b"?", timeout=0.1)

    async def nobody_waits() -> bool:
        mine = [one for one in await real.redis.client_list() if one["name"] == real.settings.prefix]
        return all(one["cmd"] != "blpop" for one in mine)

    await eventually(nobody_waits)


async def test_c8_a_node_whose_subscription_is_cut_again_and_again_misses_nothing(
    real: RedisPlace, bus: RedisBus
) -> None:
    got: list[int] = []
    await bus.open("n1", lambda arrival: got.append(int(arrival.data)))
    sending = real.bus()
    cuts = 0
    for number in range(3000):
        await (sending.broadcast if number % 5 == 0 else partial(sending.publish, "n1"))(b"%d" % number)
        if number % 300 == 150:
            (listener,) = await listeners(real) or [""]
            cuts += bool(listener) and await real.redis.execute_command("CLIENT KILL", "ID", listener)
    await eventually(lambda: len(got) >= 3000, within=10)
    assert got == list(range(3000))
    assert cuts >= 5
    assert real.metrics.counts["bus_caught_up"] > 0
    assert real.metrics.counts["bus_lost"] == 0
    await sending.close()


async def test_c8_what_was_the_last_before_a_silence_arrives_after_a_cut(real: RedisPlace, bus: RedisBus) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    (listener,) = await listeners(real)
    await real.redis.execute_command("CLIENT KILL", "ID", listener)
    await bus.publish("n1", b"last")
    assert not bus.listening or got == []
    await eventually(lambda: got == [b"last"])
    assert bus.listening


async def test_c8_a_subscriber_that_is_deaf_while_it_looks_healthy_is_found_and_hears_what_it_missed(
    real: RedisPlace, proxy: Proxy
) -> None:
    through_proxy = connect(real.settings.model_copy(update={"redis_url": proxy.url}), blocking=True)
    bus = RedisBus(real.client(), through_proxy, real.keys, real.settings, real.metrics)
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    proxy.go_deaf()
    assert await bus.publish("n1", b"missed")  # Redis takes it for a healthy one, too
    await eventually(lambda: got == [b"missed"], within=5)
    assert real.metrics.counts["bus_reconnects"] == 1
    await bus.close()
    await through_proxy.aclose()


async def test_c10_of_a_redis_that_was_emptied_all_that_follows_arrives(real: RedisPlace, bus: RedisBus) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    for number in range(20):
        await bus.publish("n1", b"%d" % number)
    await real.redis.delete(real.keys.posts, real.keys.channel("n1").log, real.keys.everyone.log)
    await bus.publish("n1", b"after")
    await bus.broadcast(b"to all")
    await eventually(lambda: got[-2:] == [b"after", b"to all"])
    assert real.metrics.counts["bus_epochs"] == 1
    assert len(got) == 22


async def test_c10_a_redis_of_an_older_state_is_noticed(real: RedisPlace, bus: RedisBus) -> None:
    got: list[bytes] = []
    await bus.open("n1", lambda arrival: got.append(arrival.data))
    for number in range(10):
        await bus.publish("n1", b"%d" % number)
    older = await real.redis.dump(real.keys.posts), await real.redis.dump(real.keys.channel("n1").log)
    for number in range(10, 20):
        await bus.publish("n1", b"%d" % number)
    await eventually(lambda: len(got) == 20)
    await real.redis.restore(real.keys.posts, 0, older[0], replace=True)
    await real.redis.restore(real.keys.channel("n1").log, 0, older[1], replace=True)
    (listener,) = await listeners(real)
    await real.redis.execute_command("CLIENT KILL", "ID", listener)  # as it is when Redis starts again
    await eventually(lambda: real.metrics.counts["bus_epochs"] == 1)
    await bus.publish("n1", b"after")
    await eventually(lambda: got[-1] == b"after")
    assert len(got) == 21


async def test_c8_what_a_log_keeps_is_bounded_in_number_and_time(real: RedisPlace) -> None:
    settings = real.settings.model_copy(update={"log_length": 100, "recovery_window": 30.0})
    bus = RedisBus(real.client(), real.client(blocking=True), real.keys, settings, real.metrics)
    for number in range(1000):
        bus.publish("n1", b"%d" % number)
    await bus.close()
    log = real.keys.channel("n1").log
    assert 100 <= await real.redis.xlen(log) <= 300  # about: Redis removes whole nodes of the stream
    assert 25_000 < await real.redis.pttl(log) <= 30_000
