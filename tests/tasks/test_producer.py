from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.errors import QueueFull, RedisUnavailable
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer
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


async def test_w16_one_turn_of_the_loop_is_one_script_call_per_queue(
    producer: AsyncProducer, link: redis.asyncio.Redis, broker: OrderedBroker
) -> None:
    calls = []
    original = producer._insist
    producer._insist = lambda given: calls.append(len(given)) or original(given)  # type: ignore[method-assign,func-returns-value,assignment]
    await asyncio.gather(*(producer.enqueue(task("k", n, logic=("chat", "next")[n % 2])) for n in range(100)))
    assert calls == [2]
    assert broker.do_qsize("chat") == broker.do_qsize("next") == 50


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
