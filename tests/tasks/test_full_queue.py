from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
import redis.asyncio

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.errors import QueueFull
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually, eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send, task

MakeProducer = Callable[..., AsyncProducer]


@pytest.fixture
async def make_producer(broker: OrderedBroker, settings: Settings) -> AsyncIterator[MakeProducer]:
    link: redis.asyncio.Redis = connect(settings)
    made: list[AsyncProducer] = []

    def make(**changes: object) -> AsyncProducer:
        producer = AsyncProducer(broker, link, settings.model_copy(update=changes), Metrics())
        producer.start()
        made.append(producer)
        return producer

    yield make
    for producer in made:
        await producer.close()
    await link.aclose()


def bounded(broker: OrderedBroker, **attributes: object) -> Journal:
    """A logic whose queue holds few messages."""
    journal = Journal()
    declare(
        broker,
        lambda message, _: journal.note(message.json()["key"], message.json()["n"]),
        Chat(**{"max_waiting": 3, **attributes}),
    )
    return journal


def test_w14_past_the_bound_a_sender_gets_an_error_with_the_queue_and_the_limit(broker: OrderedBroker) -> None:
    bounded(broker)
    for n in range(3):
        send(broker, f"k{n % 2}", n, uuid=f"m{n}")
    with pytest.raises(QueueFull) as raised:
        send(broker, "k", 3)
    assert (raised.value.limit, "chat" in raised.value.queue) == (3, True)
    send(broker, "k0", 0, uuid="m0")
    assert broker.metrics.counts["duplicates"] == 1
    assert broker.do_qsize("chat") == 3


def test_w14_what_is_delayed_and_what_runs_counts_and_a_refused_message_may_be_sent_again(
    broker: OrderedBroker,
) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        entered.set()
        go_on.wait(10)

    declare(broker, handle, Chat(max_waiting=2))
    send(broker, "k", 0)
    with working(broker):
        assert entered.wait(5)
        send(broker, "k", 1)
        with pytest.raises(QueueFull):
            send(broker, "k", 2, uuid="late")
        go_on.set()
        broker.join("chat", timeout=5000)
        send(broker, "k", 2, uuid="late")
        broker.join("chat", timeout=5000)
    assert broker.metrics.counts["duplicates"] == 0


async def test_w14_refuse_says_so_at_once_and_takes_what_there_is_room_for(
    broker: OrderedBroker, make_producer: MakeProducer
) -> None:
    bounded(broker, on_full="refuse")
    producer = make_producer(full_timeout=60)
    accepted = [producer.enqueue(task("k", n)) for n in range(5)]
    answers = await asyncio.gather(*accepted, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None)] * 3 + [QueueFull] * 2
    assert broker.do_qsize("chat") == 3


async def test_w14_wait_takes_everything_in_its_order_as_room_comes(
    broker: OrderedBroker, make_producer: MakeProducer
) -> None:
    journal = bounded(broker)
    producer = make_producer(full_timeout=20)
    accepted = [producer.enqueue(task(f"k{n % 2}", n)) for n in range(40)]
    await eventually(lambda: sum(one.done() for one in accepted) == 3)
    with working(broker):
        accepted += [producer.enqueue(task(f"k{n % 2}", n)) for n in range(40, 50)]
        await asyncio.gather(*accepted)
        await eventually(lambda: len(journal.entries) == 50)
    for key in range(2):
        assert journal.of(f"k{key}") == list(range(key, 50, 2))


async def test_w14_waiting_ends_in_an_error_and_holds_up_no_other_queue(
    broker: OrderedBroker, make_producer: MakeProducer
) -> None:
    bounded(broker)
    declare(broker, lambda *_: None, Chat("other"))
    producer = make_producer(full_timeout=0.3)
    accepted = [producer.enqueue(task("k", n)) for n in range(6)]
    await asyncio.wait_for(producer.enqueue(task("k", 0, logic="other")), 0.25)
    answers = await asyncio.gather(*accepted, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None)] * 3 + [QueueFull] * 3
    assert broker.do_qsize("chat") == 3


async def test_w14_what_waits_for_one_full_queue_is_bounded_and_leaves_places_for_others(
    broker: OrderedBroker, make_producer: MakeProducer
) -> None:
    bounded(broker)
    declare(broker, lambda *_: None, Chat("other"))
    producer = make_producer(full_timeout=60, pending_limit=10)
    accepted = [producer.enqueue(task("k", n)) for n in range(10)]
    await eventually(lambda: sum(one.done() for one in accepted) == 5)
    assert [type(one.exception()) for one in accepted if one.done()] == [type(None)] * 3 + [QueueFull] * 2
    await asyncio.gather(*(producer.enqueue(task("k", n, logic="other")) for n in range(5)))
    with pytest.raises(QueueFull):
        await asyncio.wait_for(producer.enqueue(task("k", 10)), 5)
    await producer.close()
    assert all(one.done() for one in accepted)


def test_w14_what_workers_send_is_exempt_so_that_full_queues_of_each_other_do_not_block_them(
    broker: OrderedBroker,
) -> None:
    done: list[tuple[str, int]] = []

    def passing(name: str, other: str) -> Callable[[Message, Transaction], None]:
        def handle(message: Message, transaction: Transaction) -> None:
            body = message.json()
            done.append((name, body["n"]))
            if body.get("hops", 0):
                for copy in range(2):
                    transaction.enqueue(task(f"{body['key']}{copy}", body["n"], logic=other, hops=body["hops"] - 1))

        return handle

    declare(broker, passing("ping", "pong"), Chat("ping", max_waiting=1))
    declare(broker, passing("pong", "ping"), Chat("pong", max_waiting=1))
    send(broker, "k", 0, logic="ping", hops=4)
    send(broker, "k", 0, logic="pong", hops=4)
    with working(broker, threads=2):
        eventually_sync(lambda: len(done) == 62, within=10)
        eventually_sync(lambda: not broker.do_qsize("ping") + broker.do_qsize("pong"))
