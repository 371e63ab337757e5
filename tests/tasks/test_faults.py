from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.testing.faults import Proxy
from gobroke_dist.wire import channel
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import register, send


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dramatiq.worker.POST_PROCESS_MESSAGE_RETRY_DELAY_SECS", 0.2)
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)


def test_w6_a_handler_that_raises_while_redis_is_away_loses_nothing(
    make_broker: Callable[..., OrderedBroker], proxy: Proxy, broker: OrderedBroker
) -> None:
    journal, attempts = Journal(), []
    cut_off = make_broker(redis_url=proxy.url, worker_lease=30.0)

    def handle(message: Message, _: Transaction) -> None:
        attempts.append(message.delivery.attempt)
        if len(attempts) == 1:
            proxy.refuse()
            raise ValueError("while Redis is away")
        journal.note("k", message.json()["n"])

    declare(cut_off, handle)
    for n in range(3):
        send(broker, "k", n)
    with working(cut_off, threads=1):
        eventually_sync(lambda: proxy.faults.refusing)
        assert broker.do_qsize("chat") == 3
        threading.Timer(0.5, proxy.heal).start()
        eventually_sync(lambda: len(journal.of("k")) == 3, within=15)
    assert journal.of("k") == [0, 1, 2]
    assert attempts[:2] == [1, 2]


def test_w18_cut_replies_make_nothing_count_twice_vanish_or_stick(
    make_broker: Callable[..., OrderedBroker], proxy: Proxy, client: redis.Redis, prefix: str
) -> None:
    count, keys = 40, ["a", "b", "c", "d", "e"]
    journal, cut_off = Journal(), make_broker(redis_url=proxy.url, worker_lease=30.0)

    def handle(message: Message, transaction: Transaction) -> None:
        body = message.json()
        with journal.running(body["key"]):
            transaction.send(f"{body['key']}{body['n']}".encode(), ("c",))
            journal.note(body["key"], body["n"])

    declare(cut_off, handle, Chat())
    with client.pubsub() as subscription:
        register(client, prefix, "n1", "c")
        subscription.subscribe(ClusterKeys(prefix).channel("n1").name)
        subscription.get_message(timeout=2)
        proxy.faults.cut_replies = 0.05
        with working(cut_off):
            for n in range(count):
                for key in keys:
                    send(cut_off, key, n)
            eventually_sync(lambda: _size(cut_off) == 0, within=40)
            proxy.heal()
        heard = [subscription.get_message(timeout=0.5) for _ in range(count * len(keys) + 1)]
    names = [channel.read(one["data"]).data.decode() for one in heard if one]
    assert proxy.counts.cuts > 10
    assert journal.overlaps == 0
    assert cut_off.metrics.counts["settlements_refused"] == 0
    for key in keys:
        assert journal.of(key) == list(range(count))
        assert [name for name in names if name.startswith(key)] == [f"{key}{n}" for n in range(count)]


def _size(broker: OrderedBroker) -> int:
    try:
        return broker.do_qsize("chat")
    except redis.RedisError:
        return -1


def test_w18_a_redis_that_stands_still_for_longer_than_a_lease_takes_no_work_from_anybody(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis
) -> None:
    attempts: list[int] = []
    entered = threading.Semaphore(0)

    def handle(message: Message, _: Transaction) -> None:
        entered.release()
        time.sleep(1.2 if message.json()["n"] == 0 else 0)
        attempts.append(message.delivery.attempt)

    brokers = [make_broker(worker_lease=0.5, redis_timeout=3.0) for _ in range(2)]
    for one in brokers:
        declare(one, handle)
    with working(brokers[0], threads=1), working(brokers[1], threads=1):
        for n in range(3):
            for key in range(4):
                send(brokers[0], f"k{key}", n)
        for _ in range(2):
            assert entered.acquire(timeout=5)
        client.client_pause(1000)
        eventually_sync(lambda: len(attempts) == 12, within=20)
    assert attempts == [1] * 12
    assert [one.metrics.counts["settlements_refused"] for one in brokers] == [0, 0]
    assert sum(one.metrics.counts["leases_late"] for one in brokers) == 2


def test_w18_a_fetch_that_redis_carries_out_after_its_worker_gave_up_leaves_nothing_stuck(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis
) -> None:
    journal, broker = Journal(), make_broker(redis_timeout=0.2, worker_lease=30.0)
    declare(broker, lambda message, _: journal.note(message.json()["key"], message.json()["n"]))
    steady = make_broker(redis_timeout=5.0)
    with working(broker, threads=2):
        for n in range(30):
            send(steady, f"k{n % 3}", n)
            if n % 10 == 5:
                client.client_pause(500)
        eventually_sync(lambda: len(journal.entries) == 30, within=20)
    for key in range(3):
        assert journal.of(f"k{key}") == list(range(key, 30, 3))


def test_w19_when_memory_is_full_new_work_is_refused_and_what_waits_is_drained(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        broker, journal = make_broker(redis_url=server.start()), Journal()
        try:
            declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
            for n in range(20):
                send(broker, f"k{n % 2}", n)
            broker.client.config_set("maxmemory", 1)
            with pytest.raises(redis.ResponseError, match="maxmemory"):
                send(broker, "k", 99)
            with working(broker):
                eventually_sync(lambda: len(journal.entries) == 20)
                assert broker.client.zscore(broker.keys("chat").heartbeats, broker.broker_id)
            assert broker.do_qsize("chat") == 0
        finally:
            broker.close()
            server.stop()


def test_w19_when_memory_is_full_what_a_worker_holds_when_it_ends_goes_to_another(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        server = EmbeddedRedis(Path(folder))
        url, journal = server.start(), Journal()
        dead, living = (make_broker(redis_url=url) for _ in range(2))
        try:
            declare(living, lambda message, _: journal.note(message.json()["key"], 0))
            consumer = dead.consume("chat", prefetch=2, timeout=100)
            for key in "ab":
                send(dead, key, 0)
            assert next(consumer) is not None
            dead.client.config_set("maxmemory", 1)
            dead.close()
            with working(living):
                eventually_sync(lambda: journal.of("a") == journal.of("b") == [0])
            assert not living.client.exists(living.keys("chat").workers)
        finally:
            living.close()
            server.stop()


def test_w18_a_reclaim_that_arrives_late_takes_nothing_that_was_fetched_since(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    broker = make_broker(worker_lease=30.0)
    consumer = broker.consume("chat", prefetch=4, timeout=100)
    queue, worker = broker.keys("chat"), broker.broker_id
    late = [*(queue.acks(worker), queue.done(worker), queue.ready, queue.fences, queue.deliveries), queue.bell]
    number = broker.station.desk("chat").next_call()
    send(broker, "k", 0)
    assert next(consumer) is not None
    assert broker.link.call("reclaim", late, [number]) == 0
    assert broker.client.scard(queue.acks(worker)) == 1
    assert not broker.client.llen(queue.ready)
    consumer.close()
