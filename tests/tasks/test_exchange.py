"""The one call that settles and takes: how much it takes, and what is left of it in the process."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from gobroke_dist.keys import QueueKeys
from gobroke_dist.logic import LogicBase, Tick
from gobroke_dist.message import Message
from gobroke_dist.tasks import actors, exchange
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.delivery import Delivered, Settlement, Ticket
from gobroke_dist.tasks.exchange import Answer, Counter
from gobroke_dist.tasks.hooks import default_middleware
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import declare, working
from tests.tasks.sending import send
from tests.tasks.test_lane import AsyncChat


class Counting:
    """Makes exchange calls by hand, as a worker with a lease."""

    def __init__(self, broker: OrderedBroker) -> None:
        self._link, self._calls = broker.link, 0
        self._queue: QueueKeys = broker.keys("chat")
        broker.station.open()
        broker.station.lease.cover("chat")
        lease = broker.station.lease.milliseconds
        self._counter = Counter(self._queue, worker=broker.station.id, lease=lease, window=1000, kept=(100, 1000))

    def __call__(self, *told: Ticket, take: int = 0, most: int = 0, ahead: int = 0) -> Answer:
        self._calls += 1
        settlements = [Settlement("commit", ticket) for ticket in told]
        call = self._counter.call(self._calls, settlements, take, most=most, begun=1, ahead=ahead)
        answer = exchange.read(self._link.call("exchange", *call))
        assert answer is not None
        return answer


@pytest.fixture
def counting(broker: OrderedBroker) -> Counting:
    declare(broker, lambda *_: None)
    return Counting(broker)


@pytest.mark.parametrize(
    ("waiting", "take", "most", "taken"),
    [
        (100, 4, 4, 4),
        (100, 4, 10, 10),
        (8, 4, 10, 6),  # a quarter of those that wait, and no more
        (3, 4, 10, 3),
        (100, 0, 10, 10),
        (8, 0, 10, 2),
        (3, 0, 10, 0),
        (100, 0, 0, 0),
    ],
)
def test_w13_a_process_takes_beyond_its_due_only_a_share_of_what_waits(
    broker: OrderedBroker, counting: Counting, waiting: int, take: int, most: int, taken: int
) -> None:
    for key in range(waiting):
        send(broker, f"k{key}", 0)
    answer = counting(take=take, most=most)
    assert [item.ticket.key for item in answer.items] == [f"k{key}" for key in range(taken)]
    assert answer.others_wait == (most == 0)


def test_what_a_call_frees_is_for_others_too_when_nothing_is_asked_for(
    broker: OrderedBroker, counting: Counting
) -> None:
    for number in range(2):
        send(broker, "k", number)
    [item] = counting(take=1, most=1).items
    answer = counting(item.ticket, take=0, most=5)
    assert (answer.standings, answer.items, answer.others_wait) == ([("held", "")], [], False)
    assert len(counting(take=1, most=1).items) == 1


@pytest.mark.parametrize(("size", "shown"), [(100, 10), (50_000, 4), (200_000, 0), (300_000, 0)])
def test_w14_what_is_shown_in_advance_is_bounded_in_bytes(
    broker: OrderedBroker, counting: Counting, size: int, shown: int
) -> None:
    for number in range(12):
        send(broker, "k", number, filler="x" * size)
    [first] = counting(take=1, most=1, ahead=10).items
    assert first.followers == ()  # it is not shown what another has made ready
    [item] = counting(first.ticket, take=1, most=1, ahead=10).items
    assert len(item.followers) == shown


def test_w14_small_messages_do_not_hide_large_ones_behind_them(broker: OrderedBroker, counting: Counting) -> None:
    for number in range(12):
        send(broker, "k", number, filler="x" * (100_000 if number > 3 else 1))
    [first] = counting(take=1, most=1).items
    [item] = counting(first.ticket, take=1, most=1, ahead=10).items
    assert [len(follower.payload or b"") > 100_000 for follower in item.followers] == [False, False, True, True]


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _async(broker: OrderedBroker) -> None:
    def run(_: LogicBase, message: Message | Tick, __: Transaction) -> Awaitable[None]:
        assert isinstance(message, Message)
        return _run(message)

    async def _run(message: Message) -> None:
        await asyncio.sleep(0)
        _maybe_raise(message)

    actors.declare(broker, AsyncChat(), run)


def _sync(broker: OrderedBroker) -> None:
    declare(broker, lambda message, _: _maybe_raise(message))


def _maybe_raise(message: Message) -> None:
    if message.json()["n"] == 7 and message.delivery.attempt == 1:
        raise ValueError("once")


@pytest.mark.parametrize("declared", [_sync, _async])
@pytest.mark.usefixtures("_no_collector")
def test_a_message_that_is_done_is_freed_without_the_garbage_collector(
    make_broker: Callable[..., OrderedBroker], declared: Callable[[OrderedBroker], Any]
) -> None:
    before = _held()
    broker = make_broker(middleware=default_middleware())
    declared(broker)
    for number in range(200):
        send(broker, f"k{number % 10}", number)
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert _held() < before + 20, "only what threads hold until they get another"


def _held() -> int:
    return sum(isinstance(one, Delivered | Message | Settlement) for one in gc.get_objects())
