from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import redis

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lease import Found
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.tasks.wire import Wire
from gobroke_dist.wire import channel
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import register, send, task


def listen(client: redis.Redis, prefix: str) -> redis.client.PubSub:
    register(client, prefix, "n1", "c")
    subscription = client.pubsub()
    subscription.subscribe(ClusterKeys(prefix).channel("n1").name, ClusterKeys(prefix).everyone.name)
    for _ in range(2):
        subscription.get_message(timeout=2)
    return subscription


def heard(subscription: redis.client.PubSub) -> list[bytes]:
    found = []
    while (message := subscription.get_message(timeout=0.1)) is not None:
        found.append(channel.read(message["data"]).data)
    return found


def test_w7_a_failed_attempt_sends_nothing_and_the_one_that_succeeds_sends_once(
    broker: OrderedBroker, client: redis.Redis, prefix: str
) -> None:
    journal, attempts = Journal(), []

    def handle(message: Message, transaction: Transaction) -> None:
        transaction.send(b"one", ("c",))
        transaction.enqueue(task("k", 9, logic="next"))
        transaction.broadcast(b"two")
        transaction.dispatch("local", message)
        attempts.append(message.delivery.attempt)
        if len(attempts) < 3:
            raise ValueError("after sending")

    committed: list[tuple[str, Message]] = []
    broker.on_committed = committed.extend
    declare(broker, handle)
    declare(broker, lambda message, _: journal.note("next", message.json()["n"]), Chat("next"))
    subscription = listen(client, prefix)
    send(broker, "k", 0, uuid="u")
    with working(broker):
        eventually_sync(lambda: journal.of("next"))
        eventually_sync(lambda: committed)
    assert attempts == [1, 2, 3]
    assert heard(subscription) == [b"one", b"two"]
    assert journal.of("next") == [9]
    assert [(logic, message.uuid) for logic, message in committed] == [("local", "u")]
    subscription.close()


def test_w7_what_a_handler_sent_is_dropped_when_something_raises_after_its_last_line(
    broker: OrderedBroker, client: redis.Redis, prefix: str
) -> None:
    tries = []

    def handle(message: Message, transaction: Transaction) -> None:
        transaction.send(str(message.delivery.attempt).encode(), ("c",))

    declare(broker, handle)
    actor, process = broker.get_actor("chat"), broker.get_actor("chat").fn

    def interrupted(**kwargs: object) -> None:
        process(**kwargs)
        tries.append(1)
        if len(tries) == 1:
            raise TimeoutError

    actor.fn = interrupted
    subscription = listen(client, prefix)
    send(broker, "k", 0)
    with working(broker):
        broker.join("chat", timeout=5000)
    assert len(tries) == 2
    assert heard(subscription) == [b"2"]
    subscription.close()


def note_scripts(monkeypatch: pytest.MonkeyPatch, way: type[Link | Wire], called: list[str]) -> None:
    """Write down the names of the scripts that are run this way."""
    method = "call_once" if way is Link else "run"
    original = getattr(way, method)

    def noted(self: object, name: str, *rest: object) -> object:
        called.append(name)
        return original(self, name, *rest)

    monkeypatch.setattr(way, method, noted)


def test_what_a_hook_enqueues_is_part_of_the_commit(broker: OrderedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal()
    declare(broker, lambda *_: None)
    declare(broker, lambda message, _: journal.note("next", message.json()["n"]), Chat("next"))
    follower = to_dramatiq(task("k", 7, logic="next")).copy(options={"pipe_ignore": True})
    message = to_dramatiq(task("k", 0)).copy(options={"pipe_target": follower.asdict()})
    broker.enqueue(message)
    called: list[str] = []
    for way in (Link, Wire):
        note_scripts(monkeypatch, way, called)
    with working(broker):
        eventually_sync(lambda: journal.of("next") == [7])
    assert "exchange" in called
    assert "enqueue" not in called


@pytest.mark.parametrize("renewed", [False, True], ids=["it has not renewed yet", "it has a new lease"])
def test_w8_what_a_worker_had_fetched_when_it_lost_its_lease_does_not_start_there(
    make_broker: Callable[..., OrderedBroker], renewed: bool
) -> None:
    journal, entered, go_on = Journal(), threading.Event(), threading.Event()
    old, new = make_broker(), make_broker()
    started: list[str] = []

    def slow(message: Message, _: Transaction) -> None:
        started.append(message.json()["key"])
        entered.set()
        go_on.wait(10)

    declare(old, slow)
    declare(new, lambda message, _: journal.note(message.json()["key"], 0))
    for key in "abc":
        send(old, key, 0)
    with working(old, threads=1):
        assert entered.wait(5)
        eventually_sync(lambda: len(old.station.desk("chat")) == 2)
        renew, old.lease.renew = old.lease.renew, Found  # type: ignore[method-assign]
        with working(new):
            eventually_sync(lambda: len(journal.entries) == 3)
        if renewed:
            renew()
        go_on.set()
        eventually_sync(lambda: not len(old.station.desk("chat")))
        old.lease.renew = renew  # type: ignore[method-assign]
    assert started == ["a"]


def test_w8_a_worker_that_lost_its_lease_can_settle_nothing(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis, prefix: str
) -> None:
    journal, entered, go_on = Journal(), threading.Event(), threading.Event()
    old, new = make_broker(), make_broker()

    def slow(message: Message, transaction: Transaction) -> None:
        transaction.send(b"old", ("c",))
        entered.set()
        go_on.wait(10)

    def quick(message: Message, transaction: Transaction) -> None:
        transaction.send(b"new", ("c",))
        journal.note("k", message.json()["n"])
        deliveries.append(message.delivery)

    deliveries: list[object] = []
    declare(old, slow)
    declare(new, quick)
    subscription = listen(client, prefix)
    send(old, "k", 0)
    send(old, "k", 1)
    with working(old, threads=1):
        assert entered.wait(5)
        lease, old.lease.renew = old.lease.renew, Found  # type: ignore[method-assign]
        with working(new):
            eventually_sync(lambda: journal.of("k") == [0, 1])
            go_on.set()
            eventually_sync(lambda: old.metrics.counts["settlements_refused"] == 1)
        old.lease.renew = lease  # type: ignore[method-assign]
    first, second = deliveries
    assert (first.attempt, first.recovered) == (2, True)  # type: ignore[attr-defined]
    assert second.fence > first.fence  # type: ignore[attr-defined]
    assert heard(subscription) == [b"new", b"new"]
    subscription.close()
