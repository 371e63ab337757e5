from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis.asyncio
from dramatiq.middleware import Middleware

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.shuttle import Call
from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.errors import QueueFull, RedisUnavailable
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer
from gobroke_dist.testing.faults import Proxy
from tests.eventually import eventually
from tests.tasks.conftest import Journal, declare, working
from tests.tasks.sending import task


@pytest.fixture
async def link(settings: Settings) -> AsyncIterator[redis.asyncio.Redis]:
    made = connect(settings)
    yield made
    await made.aclose()


@pytest.fixture
async def producer(
    broker: OrderedBroker, link: redis.asyncio.Redis, settings: Settings
) -> AsyncIterator[AsyncProducer]:
    made = AsyncProducer(broker, link, settings, Metrics())
    made.start()
    yield made
    await made.close()


async def test_w16_the_order_of_the_calls_is_the_order_in_redis(broker: OrderedBroker, producer: AsyncProducer) -> None:
    journal = Journal()
    declare(broker, lambda message, _: journal.note(message.json()["key"], message.json()["n"]))
    accepted = [producer.enqueue(task(f"k{n % 3}", n)) for n in range(1500)]
    await asyncio.gather(*accepted)
    with working(broker):
        await eventually(lambda: len(journal.entries) == 1500, within=20)
    for key in range(3):
        assert journal.of(f"k{key}") == list(range(key, 1500, 3))


class Trips:
    """What a producer's trips carry: for each the number of messages, and their bytes, of each of its calls."""

    def __init__(self, producer: AsyncProducer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[list[tuple[int, int]]] = []
        self._run = producer._shuttle.run
        monkeypatch.setattr(producer._shuttle, "run", self._noted)

    async def _noted(self, calls: Sequence[Call]) -> list[Any]:
        self.made.append([_content(args) for _, _, args in calls])
        return await self._run(calls)

    @property
    def calls(self) -> list[tuple[int, int]]:
        return [call for trip in self.made for call in trip]


def _content(args: Sequence[Any]) -> tuple[int, int]:
    payloads = args[3::6]
    return len(payloads), sum(map(len, payloads))


async def test_w16_one_turn_of_the_loop_is_one_script_call_per_queue(
    producer: AsyncProducer, broker: OrderedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = Trips(producer, monkeypatch)
    await asyncio.gather(*(producer.enqueue(task("k", n, logic=("chat", "next")[n % 2])) for n in range(40)))
    assert [[count for count, _ in trip] for trip in trips.made] == [[20, 20]]
    assert broker.do_qsize("chat") == broker.do_qsize("next") == 20


async def test_w15_an_idle_producer_writes_in_the_next_turn_of_the_loop(
    producer: AsyncProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await producer.enqueue(task("k", 0))
    written: list[bytes] = []
    connection: Any = producer._shuttle._track._connection
    writer = connection._writer
    write = writer.writelines
    monkeypatch.setattr(writer, "writelines", lambda words: written.extend(words) or write(words))
    last = producer.enqueue(task("k", 1, word="needle"))
    await asyncio.sleep(0)
    assert b"needle" in b"".join(written)
    await last


async def test_w16_no_trip_and_no_turn_of_the_loop_has_more_to_do_than_it_has_time_for(
    producer: AsyncProducer, broker: OrderedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips = Trips(producer, monkeypatch)
    accepted = [producer.enqueue(task("k", n)) for n in range(400)]
    accepted += [producer.enqueue(task("k", n, more="x" * 50_000)) for n in range(400, 410)]
    told, most = 0, 0
    while told < len(accepted):
        await asyncio.sleep(0)
        before, told = told, sum(one.done() for one in accepted)
        most = max(most, told - before)
    assert most <= 24
    assert max(count for count, _ in trips.calls) <= 48
    assert max(size for _, size in trips.calls) <= 200_000
    assert broker.do_qsize("chat") == 410


async def test_w16_while_many_come_a_trip_waits_for_more_of_them_and_for_few_it_does_not(
    producer: AsyncProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trips: list[int] = []
    answered = asyncio.Event()

    async def run(calls: Sequence[Call]) -> list[list[int]]:
        count, _ = _content(calls[0][2])
        trips.append(count)
        await answered.wait()
        return [[count]]

    async def meanwhile(at_first: int, then: int) -> int:
        """What the second trip carries, if so many messages come during the first, and in each turn after it."""
        trips.clear()
        answered.clear()
        accepted = [producer.enqueue(task("k", 0))]
        await asyncio.sleep(0)
        accepted += [producer.enqueue(task("k", n)) for n in range(at_first)]
        answered.set()
        for _ in range(6):
            await asyncio.sleep(0)
            accepted += [producer.enqueue(task("k", n)) for n in range(then)]
        await asyncio.gather(*accepted)
        return trips[1]

    monkeypatch.setattr(producer._shuttle, "run", run)
    assert await meanwhile(at_first=10, then=10) == 40
    assert await meanwhile(at_first=10, then=0) == 10
    assert await meanwhile(at_first=60, then=10) == 48
    assert await meanwhile(at_first=5, then=5) == 5


@pytest.mark.parametrize("bad", [object(), b"x", {1, 2}, {(1, 2): 3}])
async def test_w16_what_is_not_json_is_its_senders_error_and_no_other_messages(
    producer: AsyncProducer, broker: OrderedBroker, bad: object
) -> None:
    before = producer.enqueue(task("k", 0))
    wrong = task("k", 1)
    wrong.message.metadata["bad"] = bad
    with pytest.raises(TypeError):
        producer.enqueue(wrong)
    await asyncio.gather(before, producer.enqueue(task("k", 2)))
    assert broker.do_qsize("chat") == 2


async def test_w16_a_key_or_a_uuid_that_is_no_text_is_its_senders_error(
    producer: AsyncProducer, broker: OrderedBroker
) -> None:
    for wrong in (task("\ud800", 0), task("k", 0, uuid="\ud800")):
        with pytest.raises(ValueError, match="surrogates"):
            producer.enqueue(wrong)
    odd = task("k", 1)
    odd.message.metadata.update(text="\ud800", number=float("nan"))
    await producer.enqueue(odd)
    [held] = broker.client.hvals(broker.keys("chat").messages)
    metadata = dramatiq.Message.decode(held).kwargs["message"]["metadata"]
    assert metadata["text"] == "\ud800"
    assert metadata["number"] != metadata["number"]


async def test_w16_the_bytes_that_wait_are_bounded(
    settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobroke_dist.tasks.producer._WAITING_BYTES", 1000)
    producer = AsyncProducer(broker, link, settings, Metrics())
    producer.start()
    accepted = [producer.enqueue(task("k", n, more="x" * 300)) for n in range(2)]
    with pytest.raises(QueueFull):
        producer.enqueue(task("k", 2))
    await asyncio.gather(*accepted)
    await producer.enqueue(task("k", 2))
    await producer.close()


class Listening(Middleware):
    """Notes what Dramatiq's hooks are given, and adds an option."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def before_enqueue(self, broker: dramatiq.Broker, message: dramatiq.Message[Any], delay: int | None) -> None:
        self.heard.append(("before", message.message_id))
        message.options["trace"] = "t"

    def after_enqueue(self, broker: dramatiq.Broker, message: dramatiq.Message[Any], delay: int | None) -> None:
        self.heard.append(("after", message.message_id))


async def test_w17_hooks_that_are_there_are_called_whenever_they_were_added(
    producer: AsyncProducer, broker: OrderedBroker
) -> None:
    await producer.enqueue(task("k", 0, uuid="unheard"))
    listening = Listening()
    broker.add_middleware(listening)
    await producer.enqueue(task("k", 1, uuid="u"))
    assert listening.heard == [("before", "u"), ("after", "u")]
    held = broker.client.hget(broker.keys("chat").messages, "u")
    assert held is not None
    assert dramatiq.Message.decode(held).options["trace"] == "t"
    await producer.fire("tick", 1000)
    assert [hook for hook, _ in listening.heard[2:]] == ["before", "after"]


async def test_w18_cut_replies_lose_no_message_and_keep_the_order(
    settings: Settings, broker: OrderedBroker, proxy: Proxy
) -> None:
    cut_off = connect(settings.model_copy(update={"redis_url": proxy.url}))
    metrics = Metrics()
    producer = AsyncProducer(broker, cut_off, settings, metrics)
    producer.start()
    proxy.faults.cut_replies = 0.2
    accepted = []
    for n in range(400):
        accepted.append(producer.enqueue(task(f"k{n % 3}", n)))
        if n % 5 == 0:
            await asyncio.sleep(0.001)
    await asyncio.gather(*accepted)
    assert proxy.counts.cuts > 3
    await producer.close()
    await cut_off.aclose()
    journal = Journal()
    declare(broker, lambda message, _: journal.note(message.json()["key"], message.json()["n"]))
    with working(broker):
        await eventually(lambda: len(journal.entries) == 400)
    for key in range(3):
        assert journal.of(f"k{key}") == list(range(key, 400, 3))
    assert metrics.counts["enqueued"] + metrics.counts["duplicates"] == 400


async def test_w18_a_connection_that_was_cut_while_nobody_used_it_costs_no_pause(
    settings: Settings, broker: OrderedBroker, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobroke_dist.tasks.producer._FIRST_PAUSE", 60.0)
    cut_off = connect(settings.model_copy(update={"redis_url": proxy.url}))
    producer = AsyncProducer(broker, cut_off, settings, Metrics())
    producer.start()
    await producer.enqueue(task("k", 0))
    proxy.reset()
    await asyncio.wait_for(producer.enqueue(task("k", 1)), 5)
    await producer.close()
    await cut_off.aclose()


async def test_a_batch_that_fails_by_a_defect_is_told_so(
    settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = AsyncProducer(broker, link, settings, Metrics())
    producer.start()
    await producer.enqueue(task("k", 0))
    monkeypatch.setattr(producer, "_call", None)
    accepted = [producer.enqueue(task("k", n)) for n in range(100)]
    outcomes = await asyncio.wait_for(asyncio.gather(*accepted, return_exceptions=True), 5)
    assert {type(one) for one in outcomes} == {RedisUnavailable}
    await producer.close()


async def test_w16_a_frozen_redis_blocks_no_loop_and_ends_in_an_error_or_one_acceptance(
    settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis
) -> None:
    short = settings.model_copy(update={"redis_timeout": 0.2})
    slow_link = connect(short)
    metrics = Metrics()
    producer = AsyncProducer(broker, slow_link, short, metrics)
    producer.start()
    await producer.enqueue(task("k", 0))
    await link.client_pause(1500)
    began = time.monotonic()
    future = producer.enqueue(task("k", 1, uuid="frozen"))
    longest = last = 0.0
    while not future.done():
        last = time.monotonic()
        await asyncio.sleep(0.005)
        longest = max(longest, time.monotonic() - last)
    assert longest < 0.2, "the event loop was blocked"
    assert time.monotonic() - began < 1.0
    with pytest.raises(RedisUnavailable):
        await future
    await eventually(link.ping)
    await producer.enqueue(task("k", 1, uuid="frozen"))
    assert broker.do_qsize("chat") == 2
    await producer.close()
    await slow_link.aclose()


async def test_w16_a_redis_that_comes_back_in_time_gets_each_message_once(
    settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis
) -> None:
    short = settings.model_copy(update={"redis_timeout": 0.4})
    slow_link = connect(short)
    metrics = Metrics()
    producer = AsyncProducer(broker, slow_link, short, metrics)
    producer.start()
    await producer.enqueue(task("k", 0))
    await link.client_pause(500)
    await asyncio.gather(*(producer.enqueue(task("k", n)) for n in range(1, 20)))
    assert broker.do_qsize("chat") == 20
    assert metrics.counts["enqueued"] + metrics.counts["duplicates"] == 20
    await producer.close()
    await slow_link.aclose()


async def test_w16_what_waits_is_bounded(settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis) -> None:
    producer = AsyncProducer(broker, link, settings.model_copy(update={"pending_limit": 2}), Metrics())
    producer.start()
    producer.enqueue(task("k", 0))
    producer.enqueue(task("k", 1))
    with pytest.raises(QueueFull):
        producer.enqueue(task("k", 2))
    await producer.close()
    assert broker.do_qsize("chat") == 2
    with pytest.raises(RedisUnavailable):
        producer.enqueue(task("k", 3))


async def test_w12_a_uuid_that_was_accepted_is_a_duplicate_and_no_error(
    settings: Settings, broker: OrderedBroker, link: redis.asyncio.Redis
) -> None:
    metrics = Metrics()
    producer = AsyncProducer(broker, link, settings, metrics)
    producer.start()
    await asyncio.gather(producer.enqueue(task("k", 0, uuid="u")), producer.enqueue(task("k", 0, uuid="u")))
    await producer.enqueue(task("k", 0, uuid="u"))
    assert broker.do_qsize("chat") == 1
    assert (metrics.counts["enqueued"], metrics.counts["duplicates"]) == (1, 2)
    await producer.close()


async def test_p3_any_number_of_schedulers_fire_a_nominal_time_once(
    settings: Settings, broker: OrderedBroker, producer: AsyncProducer, link: redis.asyncio.Redis
) -> None:
    other = AsyncProducer(broker, link, settings, Metrics())
    fired = await asyncio.gather(*(one.fire("tick", 1000) for one in (producer, other, producer, other)))
    assert sorted(fired) == [False, False, False, True]
    assert not await other.fire("tick", 900)
    assert await other.fire("tick", 2000)
    assert broker.do_qsize("tick") == 2
    assert abs(await producer.redis_now_ms() - time.time() * 1000) < 60_000
    await other.close()


async def test_w19_a_full_redis_is_an_error_that_says_so() -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        settings = Settings(redis_url=await asyncio.to_thread(server.start), prefix="full")
        broker, link = OrderedBroker(settings), connect(settings)
        producer = AsyncProducer(broker, link, settings, Metrics())
        producer.start()
        try:
            await producer.enqueue(task("k", 0))
            await link.config_set("maxmemory", "1")
            with pytest.raises(RedisUnavailable, match="memory is full"):
                await producer.enqueue(task("k", 1))
            with pytest.raises(RedisUnavailable, match="memory is full"):
                await producer.fire("tick", 1000)
            await link.config_set("maxmemory", "0")
            await producer.enqueue(task("k", 2))
            assert await producer.fire("tick", 1000)
            assert broker.do_qsize("chat") == 2
        finally:
            await producer.close()
            await link.aclose()
            broker.close()
            await asyncio.to_thread(server.stop)
