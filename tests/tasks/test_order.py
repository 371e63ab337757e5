from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.middleware import Middleware

from gobroke_dist.message import Message
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send


class Hooks(Middleware):
    """Counts the signals of stock Dramatiq."""

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("before_", "after_")):
            calls = self.calls
            return lambda *_, **__: calls.__setitem__(name, calls.get(name, 0) + 1)
        return super().__getattribute__(name)


def test_w1_one_queue_per_logic_and_one_dramatiq_message_per_message(broker: OrderedBroker) -> None:
    hooks = Hooks()
    broker.add_middleware(hooks)
    journal = Journal()
    declare(broker, lambda message, _: journal.note("a", message.json()["n"]), Chat("alpha"))
    declare(broker, lambda message, _: journal.note("b", message.json()["n"]), Chat("beta"))
    assert broker.get_declared_queues() == {"alpha", "beta"}
    assert broker.get_declared_delay_queues() == set()
    with working(broker):
        for n in range(3):
            send(broker, "k", n, logic="alpha")
            send(broker, "k", n, logic="beta")
        eventually_sync(lambda: hooks.calls.get("after_ack") == 6)
    for signal in ("enqueue", "process_message", "ack"):
        assert hooks.calls[f"before_{signal}"] == hooks.calls[f"after_{signal}"] == 6
    assert journal.of("a") == journal.of("b") == [0, 1, 2]


def send_all(broker: OrderedBroker, keys: list[str], numbers: range) -> None:
    """One message of each number for each key."""
    for n in numbers:
        for key in keys:
            send(broker, key, n)


@pytest.mark.parametrize(("workers", "threads"), [(1, 1), (1, 8), (3, 4)])
def test_w2_order_holds_for_each_key_with_any_workers_and_threads(
    make_broker: Callable[..., OrderedBroker], workers: int, threads: int
) -> None:
    journal, count, keys = Journal(), 40, [f"k{i}" for i in range(6)]

    def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        with journal.running(body["key"]):
            time.sleep(0.0002 * (body["n"] % 4))
        journal.note(body["key"], body["n"])

    brokers = [make_broker() for _ in range(workers)]
    for one in brokers:
        declare(one, handle)
    send_all(brokers[0], keys, range(count // 2))
    started = [dramatiq.Worker(one, worker_threads=threads, worker_timeout=100) for one in brokers]
    for worker in started:
        worker.start()
    try:
        send_all(brokers[0], keys, range(count // 2, count))
        eventually_sync(lambda: len(journal.entries) >= count * len(keys), within=20)
    finally:
        for worker in started:
            worker.stop(timeout=10_000)
    assert journal.overlaps == 0
    assert [journal.of(key) for key in keys] == [list(range(count))] * len(keys)


def test_w3_the_order_is_the_order_in_which_redis_accepted(broker: OrderedBroker) -> None:
    journal = Journal()
    declare(broker, lambda message, _: journal.note("all", message.json()["n"]), Chat(order_by="logic"))
    for n in range(50):
        send(broker, "", n)
    with working(broker, threads=8):
        eventually_sync(lambda: len(journal.entries) == 50)
    assert journal.of("all") == list(range(50))


def test_w4_a_failed_message_keeps_its_place_while_other_keys_go_on(broker: OrderedBroker) -> None:
    journal, attempts, others_done = Journal(), [], threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        if body["key"] == "bad" and body["n"] == 0:
            attempts.append(message.delivery.attempt)
            if len(attempts) < 3 or not others_done.is_set():
                raise ValueError("not yet")
        journal.note(body["key"], body["n"])

    declare(broker, handle, Chat(max_attempts=100))
    for n in range(5):
        send(broker, "bad", n)
        send(broker, "good", n)
    with working(broker):
        eventually_sync(lambda: journal.of("good") == [0, 1, 2, 3, 4])
        assert journal.of("bad") == []
        others_done.set()
        eventually_sync(lambda: len(journal.of("bad")) == 5)
    assert journal.of("bad") == [0, 1, 2, 3, 4]
    assert attempts == list(range(1, len(attempts) + 1))


def test_w4_after_the_last_attempt_the_message_is_dead_and_the_next_runs(broker: OrderedBroker) -> None:
    journal = Journal()

    def handle(message: Message, _: Transaction) -> None:
        if message.json()["n"] == 0:
            raise ValueError("never")
        journal.note("k", message.json()["n"])

    declare(broker, handle, Chat(max_attempts=3))
    send(broker, "k", 0, uuid="first")
    send(broker, "k", 1)
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [1])
    keys = broker.keys("chat")
    assert broker.client.zcard(keys.dead) == 1
    dead = dramatiq.Message.decode(broker.client.hget(keys.dead_messages, "first"))
    assert dead.options["attempts"] == 3
    assert dead.options["dead_reason"] == "attempts"
    assert dead.options["error"] == "ValueError: never"


def test_w12_the_same_uuid_is_accepted_once(broker: OrderedBroker) -> None:
    journal = Journal()
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
    send(broker, "k", 0, uuid="same")
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [0])
        send(broker, "k", 1, uuid="same")
        send(broker, "k", 2)
        eventually_sync(lambda: 2 in journal.of("k"))
    assert journal.of("k") == [0, 2]
    assert broker.metrics.counts["duplicates"] == 1


def test_delayed_first_sends_start_when_they_are_due_and_in_the_order_of_their_key(broker: OrderedBroker) -> None:
    journal = Journal()
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
    from gobroke_dist.tasks.actors import to_dramatiq  # noqa: PLC0415
    from tests.tasks.sending import task  # noqa: PLC0415

    broker.enqueue(to_dramatiq(task("k", 0)), delay=150)
    assert broker.do_qsize("chat") == 1
    with working(broker):
        send(broker, "k", 1)
        eventually_sync(lambda: len(journal.of("k")) == 2)
    assert journal.of("k") == [1, 0]
    assert broker.do_qsize("chat") == 0


def test_nothing_is_left_in_redis_when_all_is_done(broker: OrderedBroker) -> None:
    declare(broker, lambda *_: None)
    for n in range(10):
        send(broker, f"k{n % 2}", n)
    with working(broker):
        broker.join("chat", timeout=5000)
    left = {
        key.decode().removeprefix(broker.settings.prefix) for key in broker.client.keys(f"{broker.settings.prefix}*")
    }
    assert left == {":queue:chat:counters", ":queue:chat:seen:new"}


def test_flush_drops_what_waits_and_frees_its_keys_but_keeps_dead_letters(broker: OrderedBroker) -> None:
    journal = Journal()
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
    broker.client.zadd(broker.keys("chat").dead, {"x": 9e15})
    for n in range(3):
        send(broker, "k", n)
    broker.flush_all()
    assert broker.do_qsize("chat") == 0
    assert broker.client.zcard(broker.keys("chat").dead) == 1
    send(broker, "k", 7)
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [7])
