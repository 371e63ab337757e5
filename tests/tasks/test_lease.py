from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from gobroke_dist.keys import QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lease import RENEWALS, SPREAD, Caller, Lease
from gobroke_dist.tasks.scripts import Argument, ScriptName
from tests.eventually import eventually_sync
from tests.tasks.sending import send

LONG = 600.0


class Calls:
    """The way to Redis, with a count of what went over it."""

    def __init__(self, call: Caller) -> None:
        self.count: Counter[str] = Counter()
        self._call = call

    def __call__(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        self.count[name] += 1
        return self._call(name, keys, args)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def calls(make_broker: Callable[..., OrderedBroker]) -> Calls:
    return Calls(make_broker().link.call)


@pytest.fixture
def make_lease(calls: Calls, settings: Settings, metrics: Metrics) -> Iterator[Callable[[float], Lease]]:
    made: list[Lease] = []

    def make(seconds: float) -> Lease:
        lease = Lease("me", settings.model_copy(update={"worker_lease": seconds}), calls, metrics.count)
        made.append(lease)
        return lease

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def lease(make_lease: Callable[[float], Lease]) -> Lease:
    made = make_lease(LONG)
    made.cover("chat")
    return made


@pytest.fixture
def chat(prefix: str) -> QueueKeys:
    return QueueKeys(prefix, "chat")


def ago(seconds: float) -> int:
    return int((time.time() - seconds) * 1000)


class Others:
    """Other workers as Redis sees them, without a process."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def renewed(self, queue: QueueKeys, names: Sequence[str], at: int) -> None:
        """All of these renewed then, and never again."""
        for beats in (queue.heartbeats, queue.workers):
            self._client.zadd(beats, dict.fromkeys(names, at))

    def hold(self, queue: QueueKeys, name: str, ids: Sequence[str], *, threads: int = 4) -> None:
        """This one has fetched these, in this order."""
        first = int(self._client.hincrby(queue.counters, "fence", len(ids))) - len(ids) + 1
        self._client.sadd(queue.acks(name), *ids)
        self._client.hset(queue.fences, mapping={id_: first + n for n, id_ in enumerate(ids)})
        self._client.hset(queue.done(name), "threads", threads)


@pytest.fixture
def others(client: redis.Redis) -> Others:
    return Others(client)


# --- what a renewal finds ------------------------------------------------------


def test_w9_a_renewal_tells_when_the_next_lease_of_another_ends(
    lease: Lease, others: Others, chat: QueueKeys, prefix: str
) -> None:
    assert lease.renew() == (math.inf, ())
    lease.cover("other")
    others.renewed(chat, ["a"], ago(LONG / RENEWALS))
    others.renewed(QueueKeys(prefix, "other"), ["b"], ago(LONG / RENEWALS / 2))
    assert lease.renew().look_in == pytest.approx(LONG - LONG / RENEWALS, abs=2), "later than its own next renewal"
    others.renewed(QueueKeys(prefix, "other"), ["c"], ago(LONG - 60))
    assert lease.renew().look_in == pytest.approx(60, abs=2), "the first of all queues counts"
    others.renewed(chat, ["d"], ago(LONG - 30))
    others.renewed(chat, ["dead"], ago(LONG + 30))
    found = lease.renew()
    assert found.bereft == ("chat",)
    assert found.look_in == pytest.approx(30, abs=2), "who is dead already does not hide who dies next"


def test_w9_a_lease_is_looked_after_in_the_instant_in_which_it_ends(
    make_lease: Callable[[float], Lease], others: Others, chat: QueueKeys, client: redis.Redis
) -> None:
    seconds = 10.0
    others.hold(chat, "other", ["m"])
    lease = make_lease(seconds)
    lease.cover("chat")
    ends = time.time() + seconds / RENEWALS * 0.75
    others.renewed(chat, ["other"], int((ends - seconds) * 1000))
    eventually_sync(lambda: client.llen(chat.ready))
    assert -0.01 < time.time() - ends < SPREAD + 0.3, f"the renewal after it comes {seconds / RENEWALS * 0.75} s later"


def test_w9_what_a_renewal_costs_does_not_grow_with_the_dead(
    lease: Lease, others: Others, calls: Calls, client: redis.Redis, chat: QueueKeys, prefix: str
) -> None:
    def commands() -> int:
        before = executed(client)
        lease.renew()
        return executed(client) - before

    alone = commands()
    names = [f"dead-{n}" for n in range(10_000)]
    others.renewed(QueueKeys(prefix, "abandoned"), names, ago(2 * LONG))
    assert commands() == alone
    others.renewed(chat, names, ago(2 * LONG))
    assert commands() == alone
    before = calls.count.copy()
    lease.rescue(lease.renew().bereft)
    assert calls.count - before == {"renew": 1, "recover": 101}, "a hundred at a time, after one call that lists them"
    assert commands() == alone
    assert client.zrange(chat.workers, 0, -1) == [b"me"]


def executed(client: redis.Redis) -> int:
    """Commands that Redis has run, those in scripts included, but not this question."""
    return sum(stats["calls"] for name, stats in client.info("commandstats").items() if name != "cmdstat_info")


def test_w9_dead_workers_of_a_queue_that_nobody_consumes_block_nobody_and_are_found_when_somebody_does(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys, prefix: str
) -> None:
    abandoned = QueueKeys(prefix, "abandoned")
    others.hold(abandoned, "dead-7", ["old"])
    others.renewed(abandoned, [f"dead-{n}" for n in range(200)], ago(3 * LONG))
    assert lease.renew().bereft == ()
    others.hold(chat, "fresh", ["new"])
    others.renewed(chat, ["fresh"], ago(LONG + 1))
    assert lease.renew().bereft == ("chat",)
    lease.rescue(["chat"])
    assert client.lrange(chat.ready, 0, -1) == [b"new"]
    assert not client.llen(abandoned.ready)
    lease.cover("abandoned")
    assert lease.renew().bereft == ("abandoned",)
    lease.rescue(["abandoned"])
    assert client.lrange(abandoned.ready, 0, -1) == [b"old"]
    assert client.zrange(abandoned.workers, 0, -1) == client.zrange(chat.heartbeats, 0, -1) == [b"me"]


def test_a_worker_of_two_queues_is_rescued_in_each_by_whoever_consumes_it(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys, prefix: str
) -> None:
    second = QueueKeys(prefix, "second")
    for queue, held in ((chat, "1"), (second, "2")):
        others.hold(queue, "dead", [held])
        others.renewed(queue, ["dead"], ago(2 * LONG))
    lease.rescue(["chat"])
    assert client.zscore(chat.heartbeats, "dead") is None
    lease.cover("second")
    lease.rescue(lease.renew().bereft)
    assert client.lrange(second.ready, 0, -1) == [b"2"]


def test_heartbeats_that_nobody_needs_any_more_are_forgotten(
    lease: Lease, client: redis.Redis, chat: QueueKeys
) -> None:
    client.zadd(chat.heartbeats, {"producer": ago(2 * 86_400), "lately": ago(3600)})
    lease.renew()
    assert client.zrange(chat.heartbeats, 0, -1) == [b"lately", b"me"]


def test_w20_a_lease_that_a_clock_put_back_would_make_endless_ends_in_its_time(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys
) -> None:
    others.renewed(chat, ["other"], ago(-3600))
    assert lease.renew().look_in == pytest.approx(LONG, abs=2)
    assert client.zscore(chat.heartbeats, "other") == pytest.approx(ago(0), abs=2000)


def test_a_renewal_rings_for_what_others_pushed_and_removes_old_dead_letters(
    lease: Lease, client: redis.Redis, chat: QueueKeys, broker: OrderedBroker
) -> None:
    send(broker, "k", 0)
    client.delete(chat.bell)
    client.zadd(chat.dead, {"old": ago(8 * 86_400), "new": ago(0)})
    client.hset(chat.dead_messages, mapping={"old": b"1", "new": b"2"})
    lease.renew()
    assert client.llen(chat.bell) == 1
    assert client.hgetall(chat.dead_messages) == {b"new": b"2"}
    assert client.zrange(chat.dead, 0, -1) == [b"new"]


# --- who is late himself takes nothing at first --------------------------------


@pytest.mark.parametrize("taken", [False, True], ids=["nobody noticed", "others took its messages"])
def test_w18_a_worker_whose_own_lease_ran_out_takes_from_nobody_at_first(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys, metrics: Metrics, taken: bool
) -> None:
    others.renewed(chat, ["other"], ago(2 * LONG))
    assert lease.renew().bereft == ("chat",)
    others.renewed(chat, ["me"], ago(2 * LONG))
    if taken:
        client.zrem(chat.heartbeats, "me")
        client.zrem(chat.workers, "me")
    for _ in range(2):
        found = lease.renew()
        assert found.bereft == ()
        assert found.look_in == pytest.approx(LONG / 2, abs=2)
    assert metrics.counts["leases_late"] == 1


def test_w18_a_worker_that_was_late_for_a_renewal_lets_the_others_renew_before_it_takes_anything(
    lease: Lease, others: Others, chat: QueueKeys, metrics: Metrics
) -> None:
    """Redis stood still for almost as long as a lease: what others sent it meanwhile may be behind this renewal."""
    others.renewed(chat, ["other"], ago(LONG + 1))
    others.renewed(chat, ["me"], ago(LONG - 1))
    found = lease.renew()
    assert found.bereft == ()
    assert found.look_in == pytest.approx(LONG / RENEWALS / 2, abs=2)
    assert metrics.counts["leases_late"] == 0


class Clock:
    """The module ``time``, for a process that stood still."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("gobroke_dist.tasks.lease.time", made)
    return made


def test_w18_a_worker_that_had_no_answer_for_a_lease_is_late_whatever_redis_says(
    clock: Clock, lease: Lease, others: Others, chat: QueueKeys
) -> None:
    """What it had sent and given up waiting for may have been carried out a moment ago."""
    others.renewed(chat, ["other"], ago(LONG + 1))
    clock.ahead = LONG + 1
    assert lease.renew().bereft == ()


def test_w8_a_worker_doubts_what_it_fetched_before_its_lease_may_have_run_out(
    clock: Clock, lease: Lease, client: redis.Redis, chat: QueueKeys
) -> None:
    client.hset(chat.counters, "fence", 7)
    lease.renew()
    assert not lease.doubts("chat", 7)
    clock.ahead = LONG + 1
    assert lease.doubts("chat", 7), "before it has renewed"
    client.hset(chat.counters, "fence", 9)
    lease.renew()
    assert [lease.doubts("chat", fence) for fence in (7, 9, 10)] == [True, True, False]


# --- taking messages -----------------------------------------------------------


def test_w9_what_a_dead_worker_held_comes_back_in_its_order_in_short_steps(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys, calls: Calls, metrics: Metrics
) -> None:
    ids = [f"m-{n}" for n in range(250)]
    others.hold(chat, "dead", ids)
    others.renewed(chat, ["dead"], ago(2 * LONG))
    lease.rescue(["chat"])
    assert [id_.decode() for id_ in client.lrange(chat.ready, 0, -1)] == ids
    assert calls.count["recover"] == 1 + 3
    assert metrics.counts["messages_recovered"] == 250
    recovered = client.hmget(chat.deliveries, [id_.encode() + b"\xffr" for id_ in ids])
    assert recovered == [b"0"] * 4 + [b"2"] * 246, "those that its four threads may have run are counted"
    assert not client.exists(chat.acks("dead"), chat.fences)


def test_w8_nothing_is_taken_from_a_worker_that_has_renewed_since(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys
) -> None:
    others.hold(chat, "other", ["m"])
    client.zadd(chat.workers, {"other": ago(2 * LONG)})
    client.zadd(chat.heartbeats, {"other": ago(1)})
    lease.rescue(lease.renew().bereft)
    assert client.smembers(chat.acks("other")) == {b"m"}
    assert lease.renew().bereft == (), "it is where it belongs, and nobody has to ask again"


# --- leaving -------------------------------------------------------------------


def test_a_lease_that_is_given_up_leaves_nothing_behind(lease: Lease, client: redis.Redis, chat: QueueKeys) -> None:
    lease.renew()
    assert client.zrange(chat.workers, 0, -1) == client.zrange(chat.heartbeats, 0, -1) == [b"me"]
    lease.stop()
    assert not client.exists(chat.workers, chat.heartbeats, chat.done("me"))


def test_w9_what_a_worker_still_holds_when_it_ends_goes_back_at_once(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys
) -> None:
    ids = [f"m-{n}" for n in range(150)]
    others.hold(chat, "me", ids)
    lease.stop()
    assert [id_.decode() for id_ in client.lrange(chat.ready, 0, -1)] == ids
    assert client.llen(chat.bell) == 1
    assert not client.exists(chat.workers, chat.heartbeats, chat.acks("me"))


def test_w9_what_a_worker_could_not_give_back_when_it_ended_is_for_the_others_at_once(
    lease: Lease, others: Others, client: redis.Redis, chat: QueueKeys, calls: Calls
) -> None:
    others.hold(chat, "me", ["m"])
    keys = [chat.heartbeats, chat.workers, chat.acks("me"), chat.done("me")]
    assert calls("leave", keys, ["me"]) == 1
    assert client.zscore(chat.workers, "me") == 0
    lease.rescue(["chat"])
    assert client.lrange(chat.ready, 0, -1) == [b"m"]
