from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.wire.channel import unwrap
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.proxy import Proxy
from tests.tasks.sending import send


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    made = Proxy(redis_url.removeprefix("unix://"))
    yield made
    made.close()


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
            proxy.go_down()
            raise ValueError("while Redis is away")
        journal.note("k", message.json()["n"])

    declare(cut_off, handle)
    for n in range(3):
        send(broker, "k", n)
    with working(cut_off, threads=1):
        eventually_sync(lambda: proxy.down)
        assert broker.do_qsize("chat") == 3
        threading.Timer(0.5, setattr, (proxy, "down", False)).start()
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
            transaction.publish("n1", f"{body['key']}{body['n']}".encode(), ("c",))
            journal.note(body["key"], body["n"])

    declare(cut_off, handle, Chat())
    with client.pubsub() as subscription:
        subscription.subscribe(ClusterKeys(prefix).channel("n1"))
        subscription.get_message(timeout=2)
        proxy.cut = 0.05
        with working(cut_off):
            for n in range(count):
                for key in keys:
                    send(cut_off, key, n)
            eventually_sync(lambda: _size(cut_off) == 0, within=40)
            proxy.cut = 0.0
        heard = [subscription.get_message(timeout=0.5) for _ in range(count * len(keys) + 1)]
    names = [unwrap(one["data"])[0].decode() for one in heard if one]
    assert proxy.cuts > 10
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
            with pytest.raises(redis.ResponseError, match="OOM"):
                send(broker, "k", 99)
            with working(broker):
                eventually_sync(lambda: len(journal.entries) == 20)
                assert broker.client.zscore(broker.keys("chat").heartbeats, broker.broker_id)
            assert broker.do_qsize("chat") == 0
        finally:
            broker.close()
            server.stop()
