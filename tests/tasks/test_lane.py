"""``async def`` logic: many messages at once on the event loop, and none of them holds a thread."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.middleware import Middleware
from dramatiq_abort import Abortable
from dramatiq_abort.backends import StubBackend

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.logic import LogicBase, Tick
from gobroke_dist.message import Delivery, Message
from gobroke_dist.tasks import actors
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.hooks import default_middleware
from gobroke_dist.tasks.lane import loop_for
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.testing.faults import Proxy
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, working
from tests.tasks.sending import register, send, task
from tests.tasks.test_commit import heard, listen
from tests.tasks.test_order import Hooks

Handler = Callable[[Message, Transaction], Awaitable[None]]


class AsyncChat(Chat):
    """The same logic in the other colour."""

    async def run_logic(self, message: Message) -> None:  # type: ignore[override]
        ...


def declare(broker: OrderedBroker, handler: Handler, logic: LogicBase | None = None) -> None:
    """Declare an ``async def`` logic whose handler also gets the transaction."""

    def run(_: LogicBase, argument: Message | Tick, transaction: Transaction) -> Awaitable[None]:
        assert isinstance(argument, Message)
        return handler(argument, transaction)

    actors.declare(broker, logic or AsyncChat(), run)


@pytest.fixture
def make_broker(make_broker: Callable[..., OrderedBroker]) -> Callable[..., OrderedBroker]:
    """With an event loop."""
    return lambda *more, **changes: make_broker(middleware=[*default_middleware(), *more], **changes)


@pytest.fixture
def broker(make_broker: Callable[..., OrderedBroker]) -> OrderedBroker:
    return make_broker()


def test_w1_many_messages_run_at_once_in_a_process_with_one_thread(broker: OrderedBroker) -> None:
    entered, threads, everybody = 0, set(), asyncio.Event()

    async def handle(_: Message, __: Transaction) -> None:
        nonlocal entered
        entered += 1
        threads.add(threading.get_ident())
        if entered == 50:
            everybody.set()
        await everybody.wait()

    declare(broker, handle)
    for key in range(50):
        send(broker, f"k{key}", 0)
    with working(broker, threads=1):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
        assert threading.active_count() < 20
    assert len(threads) == 1


def test_w1_no_more_run_at_once_than_the_logic_allows(broker: OrderedBroker) -> None:
    running, most = 0, 0

    async def handle(_: Message, __: Transaction) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    declare(broker, handle, AsyncChat(concurrency=3))
    for key in range(12):
        send(broker, f"k{key}", 0)
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert most == 3


def test_w2_order_holds_for_each_key_on_the_loop(broker: OrderedBroker) -> None:
    journal, keys, count = Journal(), [f"k{i}" for i in range(8)], 30

    async def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        with journal.running(body["key"]):
            await asyncio.sleep(0.0005 * (body["n"] % 3))
        journal.note(body["key"], body["n"])

    declare(broker, handle, AsyncChat(concurrency=5))
    for n in range(count):
        for key in keys:
            send(broker, key, n)
    with working(broker):
        eventually_sync(lambda: len(journal.entries) == count * len(keys), within=15)
    assert journal.overlaps == 0
    assert [journal.of(key) for key in keys] == [list(range(count))] * len(keys)


def test_w4_a_retry_on_the_loop_keeps_its_place_and_other_keys_go_on(broker: OrderedBroker) -> None:
    journal, attempts = Journal(), []

    async def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        if body["key"] == "bad" and body["n"] == 0:
            attempts.append(message.delivery.attempt)
            if len(attempts) < 3 or len(journal.of("good")) < 5:
                raise ValueError("not yet")
        journal.note(body["key"], body["n"])

    declare(broker, handle, AsyncChat(max_attempts=100))
    for n in range(5):
        send(broker, "bad", n)
        send(broker, "good", n)
    with working(broker):
        eventually_sync(lambda: len(journal.of("bad")) == 5)
    assert journal.of("bad") == journal.of("good") == [0, 1, 2, 3, 4]
    assert attempts == list(range(1, len(attempts) + 1))


def test_w10_a_run_that_takes_too_long_is_ended_and_counts(broker: OrderedBroker) -> None:
    journal, cancelled = Journal(), []

    async def handle(message: Message, _: Transaction) -> None:
        body = message.json()
        if body["n"] == 0:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.append(message.delivery.attempt)
                raise
        journal.note(body["key"], body["n"])

    declare(broker, handle, AsyncChat(time_limit=0.1, max_attempts=2))
    send(broker, "k", 0, uuid="slow")
    send(broker, "k", 1)
    send(broker, "other", 1)
    with working(broker):
        eventually_sync(lambda: journal.of("other") == [1], within=1)
        eventually_sync(lambda: journal.of("k") == [1])
    assert cancelled == [1, 2]
    dead = json.loads(broker.client.hget(broker.keys("chat").dead_messages, "slow"))["options"]
    assert dead["error"] == "TimeLimitExceeded: it ran for longer than 0.1 s"


def test_w5_a_worker_that_ends_finishes_what_runs_and_leaves_the_rest(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    broker, journal, entered = make_broker(), Journal(), threading.Semaphore(0)

    async def handle(message: Message, _: Transaction) -> None:
        entered.release()
        await asyncio.sleep(0.3)
        journal.note(message.json()["key"], message.json()["n"])

    declare(broker, handle)
    for n in range(3):
        for key in "ab":
            send(broker, key, n)
    with working(broker):
        assert entered.acquire(timeout=5)
        assert entered.acquire(timeout=5)
    assert sorted(journal.entries) == [("a", 0), ("b", 0)]
    assert broker.do_qsize("chat") == 4
    assert sorted(broker.client.lrange(broker.keys("chat").ready, 0, -1)) == sorted(
        broker.client.hvals(broker.keys("chat").heads)
    )
    assert not broker.client.exists(broker.keys("chat").fences)


def test_w5_what_does_not_end_in_time_is_cut_off_and_runs_again_without_blame(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    attempts: list[int] = []
    entered = threading.Event()

    async def handle(message: Message, _: Transaction) -> None:
        attempts.append(message.delivery.attempt)
        entered.set()
        if len(attempts) == 1:
            await asyncio.sleep(60)

    first = make_broker(drain_timeout=0.2)
    declare(first, handle, AsyncChat(max_attempts=1))
    send(first, "k", 0)
    with working(first):
        assert entered.wait(5)
    assert first.do_qsize("chat") == 1
    assert not first.client.exists(first.keys("chat").dead)
    second = make_broker()
    declare(second, handle, AsyncChat(max_attempts=5))
    with working(second):
        eventually_sync(lambda: second.do_qsize("chat") == 0, within=2)
    assert attempts == [1, 2]


def test_w17_every_signal_comes_once_and_all_of_one_message_on_one_thread(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    hooks = Hooks()
    broker = make_broker(hooks)

    async def handle(message: Message, _: Transaction) -> None:
        if message.json()["n"] == 0 and message.delivery.attempt == 1:
            raise ValueError("once")

    declare(broker, handle)
    for n in range(3):
        send(broker, "k", n)
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
        eventually_sync(lambda: hooks.calls.get("after_ack") == 4)
    assert hooks.calls["before_process_message"] == hooks.calls["after_process_message"] == 4
    assert hooks.calls["before_enqueue"] == hooks.calls["after_enqueue"] == 4


def test_w7_what_a_failed_run_on_the_loop_sent_is_never_seen(
    broker: OrderedBroker, client: redis.Redis, prefix: str
) -> None:
    async def handle(message: Message, transaction: Transaction) -> None:
        transaction.send(f"{message.json()['n']}/{message.delivery.attempt}".encode(), ("c",))
        await asyncio.sleep(0)
        if message.delivery.attempt == 1:
            raise ValueError("no")

    declare(broker, handle)
    with client.pubsub() as subscription:
        register(client, prefix, "n1", "c")
        subscription.subscribe(ClusterKeys(prefix).channel("n1").name)
        subscription.get_message(timeout=2)
        for n in range(3):
            send(broker, "k", n)
        with working(broker):
            eventually_sync(lambda: broker.do_qsize("chat") == 0)
        assert heard(subscription) == [b"0/2", b"1/2", b"2/2"]


def test_w8_a_run_on_the_loop_that_was_taken_over_can_send_nothing(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis, prefix: str
) -> None:
    broker, go_on, entered = make_broker(worker_lease=600.0), asyncio.Event(), threading.Event()

    async def handle(_: Message, transaction: Transaction) -> None:
        transaction.send(b"late", ("c",))
        entered.set()
        await go_on.wait()

    declare(broker, handle)
    subscription = listen(client, prefix)
    send(broker, "k", 0)
    with working(broker):
        assert entered.wait(5)
        client.hset(broker.keys("chat").fences, client.hkeys(broker.keys("chat").fences)[0], 10**6)
        broker._lanes[broker.broker_id, "chat"]._loop.call_soon_threadsafe(go_on.set)
        eventually_sync(lambda: broker.metrics.counts["settlements_refused"] == 1)
    assert heard(subscription) == []
    subscription.close()


@pytest.mark.parametrize(("attempts", "noted"), [(1, True), (3, False)])
def test_w10_redis_notes_the_start_that_may_be_the_last(broker: OrderedBroker, attempts: int, noted: bool) -> None:
    found: list[bool] = []

    async def handle(_: Message, __: Transaction) -> None:
        found.append(bool(broker.client.hexists(broker.keys("chat").deliveries, b"one\xffs")))

    declare(broker, handle, AsyncChat(max_attempts=attempts))
    send(broker, "k", 0, uuid="one")
    with working(broker):
        eventually_sync(lambda: found)
    assert found == [noted]


def test_w17_foreign_messages_get_their_place_their_end_or_their_own_actor(broker: OrderedBroker) -> None:
    journal, ran = Journal(), []

    async def handle(message: Message, _: Transaction) -> None:
        journal.note(message.json()["key"], message.json()["n"])

    declare(broker, handle)
    dramatiq.actor(lambda: ran.append(1), actor_name="plain", queue_name="chat", broker=broker)
    queue = broker.keys("chat")

    def push(redis_id: str, payload: bytes) -> None:
        broker.client.hset(queue.messages, redis_id, payload)
        broker.client.rpush(queue.ready, redis_id)

    send(broker, "k", 0)
    push("keyed", to_dramatiq(task("k", 1)).encode())
    push("junk", b"\x00 no JSON")
    push("lost", dramatiq.Message("chat", "nobody", (), {}, {}).encode())
    push("plain", dramatiq.Message("chat", "plain", (), {}, {}).encode())
    broker.client.rpush(queue.ready, "without payload")
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
        send(broker, "k", 2)
        eventually_sync(lambda: journal.of("k") == [0, 1, 2])
    assert ran == [1]
    assert sorted(broker.client.hkeys(queue.dead_messages)) == [b"junk", b"lost"]


def test_w18_cut_replies_lose_and_double_nothing_on_the_loop(
    make_broker: Callable[..., OrderedBroker], proxy: Proxy, client: redis.Redis, prefix: str
) -> None:
    journal, cut_off, count, keys = Journal(), make_broker(redis_url=proxy.url, worker_lease=30.0), 40, "abcde"

    async def handle(message: Message, transaction: Transaction) -> None:
        body = message.json()
        with journal.running(body["key"]):
            transaction.send(f"{body['key']}{body['n']}".encode(), ("c",))
            await asyncio.sleep(0)
            journal.note(body["key"], body["n"])

    declare(cut_off, handle)
    subscription = listen(client, prefix)
    for n in range(count):
        for key in keys:
            send(cut_off, key, n)
    proxy.faults.cut_replies = 0.2
    with working(cut_off):
        eventually_sync(lambda: client.hlen(cut_off.keys("chat").messages) == 0, within=40)
        proxy.heal()
    names = [one.decode() for one in heard(subscription)]
    subscription.close()
    assert proxy.counts.cuts > 5
    assert journal.overlaps == 0
    assert cut_off.metrics.counts["settlements_refused"] == 0
    for key in keys:
        assert journal.of(key) == list(range(count))
        assert [name for name in names if name.startswith(key)] == [f"{key}{n}" for n in range(count)]


def test_what_is_known_of_a_delivery_is_on_the_message(broker: OrderedBroker) -> None:
    found: list[Delivery] = []

    async def handle(message: Message, _: Transaction) -> None:
        found.append(message.delivery)
        if len(found) == 1:
            raise ValueError("again")

    declare(broker, handle)
    for n in range(2):
        send(broker, "k", n)
    with working(broker):
        eventually_sync(lambda: len(found) == 3)
    assert [one.attempt for one in found] == [1, 2, 1]
    assert found[0].seq == found[1].seq < found[2].seq
    assert found[0].fence < found[1].fence < found[2].fence
    assert 0 <= found[0].age < found[1].age < 60
    assert not any(one.recovered for one in found)


class OnThread(Middleware):
    """A user's own that keeps something on the thread."""

    own_thread = True


@pytest.mark.parametrize("middleware", [Abortable(backend=StubBackend()), OnThread()])
def test_a_middleware_that_acts_on_threads_keeps_messages_on_threads(
    make_broker: Callable[..., OrderedBroker], middleware: Middleware
) -> None:
    broker, threads = make_broker(middleware), set()
    loops: list[Any] = []

    async def handle(_: Message, __: Transaction) -> None:
        threads.add(threading.get_ident())

    declare(broker, handle)
    send(broker, "k", 0)
    with working(broker):
        loops += [loop_for(default_middleware()), loop_for(broker.middleware)]
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert loops[0] is not None
    assert loops[1] is None
    assert not broker._lanes
    assert len(threads) == 1
