"""What other tools, and people, may put on a queue or take from it; nothing else on the queue is disturbed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import redis

from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.key_control import KeyControl
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send, task

HOUR = 3600.0


@pytest.fixture
def journal(broker: OrderedBroker) -> Journal:
    made = Journal()
    logic = Chat(on_poison="halt_logic")
    declare(broker, lambda message, _: made.note(message.json()["key"], message.json()["n"]), logic)
    return made


def push(broker: OrderedBroker, id_: str, payload: bytes | None) -> None:
    keys = broker.keys("chat")
    if payload is not None:
        broker.client.hset(keys.messages, id_, payload)
    broker.client.rpush(keys.ready, id_)


def encoded(**changes: object) -> bytes:
    message = to_dramatiq(task("k", 99))
    return json.dumps({**message.asdict(), "message_id": "bad", **changes}).encode()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, None),
        (b"", "unreadable"),
        (b"\xff\x00{", "unreadable"),
        (b"{}", "unreadable"),
        (b"[1, 2]", "unreadable"),
        (b"9" * 5000, "unreadable"),
        (b"[" * 100_000, "unreadable"),
        (encoded(actor_name="nobody"), "unknown_actor"),
        (encoded(options=7), "unreadable"),
        (encoded(kwargs=[1]), "unreadable"),
        (encoded(actor_name=None), "unreadable"),
    ],
)
def test_w10_what_is_no_message_is_dead_at_once_and_halts_nothing(
    broker: OrderedBroker, journal: Journal, payload: bytes | None, reason: str | None
) -> None:
    send(broker, "k", 0)
    push(broker, "bad", payload)
    send(broker, "k", 1)
    send(broker, "other", 0)
    keys = broker.keys("chat")
    with working(broker):
        eventually_sync(lambda: len(journal.entries) == 3)
        broker.join("chat", timeout=5000)
    assert journal.of("k") == [0, 1]
    letter = broker.client.hget(keys.dead_messages, "bad")
    assert (letter and json.loads(letter)["options"]["dead_reason"]) == reason
    assert KeyControl(broker.link).stopped("chat") is None
    assert broker.client.hlen(keys.deliveries) == broker.client.hlen(keys.fences) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"retries": "many"},
        {"max_retries": "many"},
        {"eta": "tomorrow"},
        {"eta": [1]},
        {"order_key": 7},
        {"dead_id": ["x"]},
        {"min_backoff": "long"},
    ],
)
def test_w17_options_of_a_wrong_type_run_a_message_no_more_often_than_it_may(
    broker: OrderedBroker, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    monkeypatch.setattr("gobroke_dist.tasks.endings.MAX_BACKOFF", 20)
    attempts: list[int] = []

    def handle(message: Message, _: Transaction) -> None:
        if message.json()["n"] == 99:
            attempts.append(message.delivery.attempt)
            raise ValueError("never")

    declare(broker, handle, Chat(max_attempts=3))
    push(broker, "bad", encoded(options=options))
    send(broker, "other", 0)
    with working(broker):
        eventually_sync(lambda: broker.client.hexists(broker.keys("chat").dead_messages, "bad"))
        broker.join("chat", timeout=5000)
    assert attempts == [1, 2, 3]


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_w20_a_clock_that_jumps_by_an_hour_changes_no_delay_no_order_and_no_dedup(
    broker: OrderedBroker, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    journal, attempts = Journal(), []
    real = time.time

    def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        if body["n"] == 1:
            attempts.append(message.delivery.attempt)
            if len(attempts) == 1:
                monkeypatch.setattr(time, "time", lambda: real() + jump)
            if len(attempts) < 3:
                raise ValueError("not yet")
        journal.note(body["key"], body["n"])

    declare(broker, handle)
    with working(broker):
        for n in range(3):
            send(broker, "k", n, uuid=f"m{n}")
        eventually_sync(lambda: journal.of("k") == [0, 1, 2])
        send(broker, "k", 0, uuid="m0")
        broker.enqueue(to_dramatiq(task("k", 3)), delay=100)
        eventually_sync(lambda: journal.of("k") == [0, 1, 2, 3])
    assert attempts == [1, 2, 3]
    assert broker.metrics.counts["duplicates"] == 1
    assert broker.metrics.counts["leases_late"] == 0


def test_w17_a_message_that_is_removed_while_it_runs_while_it_waits_or_while_it_is_retried(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis
) -> None:
    broker, journal = make_broker(), Journal()
    keys = broker.keys("chat")

    def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        journal.note(body["key"], body["n"])
        if body["key"] == "runs" and body["n"] == 0:
            client.hdel(keys.messages, "runs0")
        if body["key"] == "retried" and body["n"] == 0:
            raise ValueError("once")

    declare(broker, handle, Chat(min_backoff=0.3, max_backoff=0.3))
    for key in ("runs", "waits", "retried"):
        for n in range(3):
            send(broker, key, n, uuid=f"{key}{n}")
    client.hdel(keys.messages, "waits1")
    with working(broker):
        eventually_sync(lambda: client.hdel(keys.delayed_messages, "retried0"))
        eventually_sync(lambda: len(journal.entries) == 8)
        broker.join("chat", timeout=5000)
    assert [journal.of(key) for key in ("runs", "waits", "retried")] == [[0, 1, 2], [0, 2], [0, 1, 2]]
    for left in (keys.heads, keys.keys, keys.fences, keys.deliveries, keys.later):
        assert not client.exists(left)


def test_w6_a_message_whose_effects_redis_can_not_carry_out_is_dead_and_disturbs_no_other(
    broker: OrderedBroker,
) -> None:
    journal = Journal()

    def handle(message: Message, transaction: Transaction) -> None:
        body = message.json()
        if body["n"] == 0:
            transaction.enqueue(task("k", 9, logic="next"))
        journal.note(body["key"], body["n"])

    declare(broker, handle)
    broker.client.set(broker.keys("next").heads, "another tool's")
    for n in range(2):
        for key in "ab":
            send(broker, key, n, uuid=f"{key}{n}")
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert sorted(journal.entries) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert sorted(broker.client.hkeys(broker.keys("chat").dead_messages)) == [b"a0", b"b0"]
    assert broker.metrics.counts["settlements_failed"] == 2
