from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import redis

from gobroke_dist.keys import QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lease import Lease
from tests.tasks.sending import send

LONG = 600.0


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def lease(make_broker: Callable[..., OrderedBroker], settings: Settings, metrics: Metrics) -> Iterator[Lease]:
    settings = settings.model_copy(update={"worker_lease": LONG})
    made = Lease("me", settings, make_broker().link.call, metrics.count)
    made.cover("chat")
    yield made
    made.stop()


def long_ago() -> float:
    return (time.time() - 2 * LONG) * 1000


def test_w18_a_worker_whose_own_lease_ran_out_takes_from_nobody_at_first(
    lease: Lease, client: redis.Redis, prefix: str, metrics: Metrics
) -> None:
    beats = QueueKeys(prefix, "chat").heartbeats
    client.zadd(beats, {"other": long_ago()})
    assert lease.renew() == ["other"]
    client.zadd(beats, {"me": long_ago()})
    assert lease.renew() == []
    assert lease.renew() == []
    assert metrics.counts["leases_late"] == 1


def test_a_lease_that_is_given_up_leaves_nothing_behind(lease: Lease, client: redis.Redis, prefix: str) -> None:
    queue = QueueKeys(prefix, "chat")
    assert client.smembers(queue.worker_queues("me")) == {b"chat"}
    lease.stop()
    assert client.zscore(queue.heartbeats, "me") is None
    assert not client.exists(queue.worker_queues("me"))


def test_a_worker_that_ends_with_messages_in_hand_leaves_them_to_the_others_at_once(
    lease: Lease, client: redis.Redis, prefix: str
) -> None:
    queue = QueueKeys(prefix, "chat")
    client.sadd(queue.acks("me"), "m")
    lease.stop()
    assert client.zscore(queue.heartbeats, "me") == 0
    assert client.smembers(queue.worker_queues("me")) == {b"chat"}


def test_a_renewal_rings_for_what_others_pushed_and_removes_old_dead_letters(
    lease: Lease, client: redis.Redis, prefix: str, broker: OrderedBroker
) -> None:
    queue = QueueKeys(prefix, "chat")
    send(broker, "k", 0)
    client.delete(queue.bell)
    now = time.time() * 1000
    client.zadd(queue.dead, {"old": now - 8 * 86_400_000, "new": now})
    client.hset(queue.dead_messages, mapping={"old": b"1", "new": b"2"})
    lease.renew()
    assert client.llen(queue.bell) == 1
    assert client.hgetall(queue.dead_messages) == {b"new": b"2"}
    assert client.zrange(queue.dead, 0, -1) == [b"new"]
