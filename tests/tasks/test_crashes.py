from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import redis
from dramatiq.broker import MessageProxy
from dramatiq.middleware import SkipMessage

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.delivery import Delivered
from gobroke_dist.tasks.key_control import KeyControl
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.wire import node as wire
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send, task

Crash = Callable[..., list[Delivered]]


@pytest.fixture
def declared() -> dict[str, object]:
    """Attributes of the logic; a test may change them before its first crash."""
    return {"max_attempts": 3}


@pytest.fixture
def crash(make_broker: Callable[..., OrderedBroker], declared: dict[str, object]) -> Crash:
    """Fetch with a new worker, start what ``starts`` says, and have the worker die.

    Another one takes what it held. Returns what was fetched.
    """

    def run(
        *, starts: Callable[[Delivered], bool], threads: int = 1, prefetch: int = 8, lease: float = 600.0
    ) -> list[Delivered]:
        broker, rescuer = make_broker(worker_lease=600.0), make_broker(worker_lease=lease)
        declare(broker, lambda *_: None, Chat(**declared))
        broker.station.threads = threads
        consumer = broker.consume("chat", prefetch=prefetch, timeout=100)
        fetched = [one for one in (next(consumer) for _ in range(prefetch + 2)) if isinstance(one, Delivered)]
        for one in fetched:
            if starts(one):
                broker.emit_before("process_message", one)
                broker.deliveries.forget(one)
        for beats in (broker.keys("chat").heartbeats, broker.keys("chat").workers):
            broker.client.zadd(beats, {broker.broker_id: 0})
        rescuer.lease.cover("chat")
        rescuer.lease.rescue(["chat"])
        return fetched

    return run


def names(messages: list[Delivered]) -> list[str]:
    return [one.ticket.id for one in messages]


def attempts(messages: list[Delivered]) -> dict[str, int]:
    return {one.ticket.id: one.ticket.attempt for one in messages}


def never(_: MessageProxy) -> bool:
    return False


def test_w10_what_was_only_fetched_when_its_process_died_does_not_count(broker: OrderedBroker, crash: Crash) -> None:
    for key in "abcd":
        send(broker, key, 0, uuid=key)
    for _ in range(4):
        fetched = crash(starts=lambda one: one.ticket.id == "a")
        assert {attempts(fetched)[name] for name in "bcd"} == {1}
    assert names(fetched) == ["b", "c", "d"], "the one that was started is given up"
    assert all(one.ticket.recovered and not one.ticket.crashed for one in fetched)


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_w10_a_message_whose_process_dies_starts_as_often_as_it_may_and_is_dead(
    broker: OrderedBroker, crash: Crash, declared: dict[str, object], limit: int
) -> None:
    declared["max_attempts"] = limit
    send(broker, "k", 0, uuid="killer")
    send(broker, "k", 1, uuid="next")
    seen = []
    for _ in range(limit):
        [one] = crash(starts=lambda _: True)
        seen.append((one.ticket.id, one.ticket.attempt, one.ticket.recovered))
    assert seen == [("killer", n + 1, n > 0) for n in range(limit)]
    journal = Journal()
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]), Chat(**declared))
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [1])
    dead = json.loads(broker.client.hget(broker.keys("chat").dead_messages, "killer"))["options"]
    assert (dead["dead_reason"], dead["attempts"]) == ("crashed", limit)


def test_c11_who_asked_hears_that_the_process_died(
    broker: OrderedBroker, crash: Crash, declared: dict[str, object]
) -> None:
    """In the step that makes the request a dead letter: it is the one datum on the requester's channel."""
    declared["max_attempts"] = 1
    request = task("k", 0)
    request.message.reply_to = ReplyTo("edge-1", "r1")
    broker.enqueue(to_dramatiq(request))
    crash(starts=lambda _: True)
    declare(broker, lambda *_: None, Chat(**declared))
    with working(broker):
        eventually_sync(lambda: broker.client.zcard(broker.keys("chat").dead))
    [(_, fields)] = broker.client.xrange(ClusterKeys(broker.settings.prefix).channel("edge-1").log)
    assert wire.decode(fields[b"d"][1:]) == wire.Answer("r1", wire.Sender(None, "chat"), b"", "crashed")


def test_w10_a_message_at_its_last_attempt_that_did_not_start_is_not_given_up(
    broker: OrderedBroker, crash: Crash, declared: dict[str, object]
) -> None:
    declared["max_attempts"] = 1
    journal = Journal()
    send(broker, "k", 0)
    for _ in range(3):
        assert len(crash(starts=never)) == 1
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]), Chat(**declared))
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [0])


def test_w10_crashes_and_exceptions_are_added_up(
    broker: OrderedBroker, crash: Crash, declared: dict[str, object]
) -> None:
    seen = []
    declared["max_attempts"] = 5

    def handle(message: Message, _: Transaction) -> None:
        seen.append(message.delivery.attempt)
        raise ValueError("not any more")

    send(broker, "k", 0, uuid="u")
    crash(starts=lambda _: True)
    crash(starts=lambda _: True)
    declare(broker, handle, Chat(max_attempts=5))
    with working(broker):
        eventually_sync(lambda: broker.client.zcard(broker.keys("chat").dead))
    assert seen == [3, 4, 5]
    dead = json.loads(broker.client.hget(broker.keys("chat").dead_messages, "u"))["options"]
    assert (dead["dead_reason"], dead["attempts"]) == ("attempts", 5)


def test_w10_a_killer_halts_its_key_if_the_logic_says_so(
    broker: OrderedBroker, crash: Crash, declared: dict[str, object]
) -> None:
    declared |= {"max_attempts": 1, "on_poison": "halt_key"}
    send(broker, "k", 0, uuid="killer")
    send(broker, "k", 1)
    crash(starts=lambda _: True)
    declare(broker, lambda *_: None, Chat(**declared))
    with working(broker):
        eventually_sync(lambda: broker.client.hlen(broker.keys("chat").halted))
    [state] = KeyControl(broker.link).deepest("chat", 5)
    assert (state.state, state.depth, state.head) == ("halted", 1, "killer")


def test_w10_what_may_have_killed_a_process_comes_back_one_by_one(
    broker: OrderedBroker, crash: Crash, client: redis.Redis
) -> None:
    for key in "abc":
        send(broker, key, 0, uuid=key)
    assert names(crash(starts=lambda _: True, threads=8)) == ["a", "b", "c"]
    assert names(crash(starts=lambda _: True, threads=8)) == ["a", "b", "c"], "at once after the first crash"
    due = client.zrange(broker.keys("chat").later, 0, -1, withscores=True)
    assert [name for name, _ in due] == [b"a", b"b", b"c"]
    assert [round(later - first) for (_, first), (_, later) in itertools.pairwise(due)] == [250, 250]


@pytest.mark.parametrize(("lease", "longest"), [(600.0, 2000), (2.0, 250)])
def test_w9_however_many_ran_when_their_process_died_the_last_is_back_soon(
    broker: OrderedBroker, crash: Crash, client: redis.Redis, lease: float, longest: int
) -> None:
    """At a lease of 2 s it takes an eighth of it: 3 s are promised from the death to the handler."""
    keys = broker.keys("chat")
    for key in range(100):
        send(broker, f"k{key}", 0)
    crash(starts=lambda _: True, threads=100, prefetch=100)
    crash(starts=lambda _: True, threads=100, prefetch=100, lease=lease)
    due = [at for _, at in client.zrange(keys.later, 0, -1, withscores=True)]
    assert len(due) == 100
    assert 0.9 * longest < due[-1] - due[0] <= longest
    assert max(later - first for first, later in itertools.pairwise(due)) <= longest / 100 + 1


def test_w8_a_delivery_that_was_taken_from_a_worker_does_not_start_there(broker: OrderedBroker, crash: Crash) -> None:
    send(broker, "k", 0)
    crash(starts=lambda _: True)
    declare(broker, lambda *_: None, Chat(max_attempts=3))
    consumer = broker.consume("chat", prefetch=1, timeout=100)
    message = eventually_sync(lambda: next(consumer))
    broker.client.hset(broker.keys("chat").fences, "k", 0)
    broker.client.hset(broker.keys("chat").fences, message.ticket.id, message.ticket.fence + 1)  # type: ignore[attr-defined]
    with pytest.raises(SkipMessage):
        broker.emit_before("process_message", message)


def test_w10_a_real_process_that_is_killed_by_its_message_again_and_again(
    broker: OrderedBroker, settings: Settings, client: redis.Redis, prefix: str
) -> None:
    send(broker, "k", 0, uuid="killer", die="always")
    send(broker, "k", 1)
    command = [sys.executable, "-m", "tests.tasks.program", str(settings.redis_url), prefix, "0.5", "2"]
    for _ in range(2):
        assert subprocess.run(command, stderr=subprocess.DEVNULL, timeout=30, check=False).returncode == -signal.SIGKILL
    last = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually_sync(lambda: b"end k:1 0" in client.lrange(f"{prefix}:log", 0, -1), within=15)
    finally:
        last.kill()
        last.wait(10)
    assert client.lrange(f"{prefix}:log", 0, -1)[:2] == [b"start k:0 0", b"start k:0 1"]
    assert client.hexists(broker.keys("chat").dead_messages, "killer")
