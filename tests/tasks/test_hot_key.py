"""One key that has many messages waiting: a worker goes on to the next without waiting for Redis' answer."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from itertools import pairwise

import pytest
import redis

from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.key_control import KeyControl
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.tasks.trips import Trips
from gobroke_dist.testing.faults import Proxy
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send, task
from tests.tasks.test_commit import heard, listen
from tests.tasks.test_takeover import Start, log, start  # noqa: F401 - fixtures

COUNT = 120


@pytest.fixture
def gone_on(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether a worker went on without waiting, each time that it might have."""
    found: list[bool] = []
    original = Trips.go_on

    def noted(*args: object) -> bool:
        found.append(original(*args))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(Trips, "go_on", noted)
    return found


def send_all(broker: OrderedBroker, numbers: range) -> None:
    for n in numbers:
        send(broker, "k", n)


@pytest.mark.parametrize("threads", [1, 8])
def test_w2_w7_a_worker_that_does_not_wait_keeps_the_order_and_has_each_effect_once(
    broker: OrderedBroker, client: redis.Redis, prefix: str, gone_on: list[bool], threads: int
) -> None:
    journal = Journal()

    def handle(message: Message, transaction: Transaction) -> None:
        number = message.json()["n"]
        with journal.running("k"):
            transaction.send(str(number).encode(), ("c",))
            journal.note("k", number)

    declare(broker, handle)
    subscription = listen(client, prefix)
    send_all(broker, range(COUNT))
    with working(broker, threads=threads):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert sum(gone_on) > COUNT / 2
    assert journal.overlaps == 0
    assert journal.of("k") == list(range(COUNT))
    assert heard(subscription) == [str(n).encode() for n in range(COUNT)]
    assert broker.metrics.counts["settlements_refused"] == 0
    assert not client.exists(broker.keys("chat").fences, broker.keys("chat").heads, broker.keys("chat").keys)
    subscription.close()


def test_w4_a_failure_in_the_middle_keeps_its_place(broker: OrderedBroker, gone_on: list[bool]) -> None:
    journal = Journal()

    def handle(message: Message, _: Transaction) -> None:
        if message.json()["n"] % 10 == 5 and message.delivery.attempt == 1:
            raise ValueError("once")
        journal.note("k", message.json()["n"])

    declare(broker, handle)
    send_all(broker, range(50))
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert sum(gone_on) > 10
    assert journal.of("k") == list(range(50))


def test_w8_a_worker_that_can_not_be_sure_of_its_lease_waits_for_the_answer(
    broker: OrderedBroker, gone_on: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker.station.lease.__class__, "doubts", lambda *_: True)
    declare(broker, lambda *_: None)
    send_all(broker, range(40))
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert gone_on
    assert not any(gone_on)


def test_w8_a_worker_that_lost_the_key_while_it_went_on_stops_and_has_no_effect(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis, prefix: str, gone_on: list[bool]
) -> None:
    broker, ran = make_broker(worker_lease=600.0), []

    def handle(message: Message, transaction: Transaction) -> None:
        number = message.json()["n"]
        ran.append(number)
        transaction.send(str(number).encode(), ("c",))
        if len(ran) == 20:
            # Another worker is given this one's message, as after a pause that was longer than the lease.
            queue = broker.keys("chat")
            eventually_sync(lambda: [message.uuid.encode()] == client.hkeys(queue.fences))
            client.hset(queue.fences, message.uuid, 10**6)

    declare(broker, handle)
    subscription = listen(client, prefix)
    send_all(broker, range(60))
    with working(broker, threads=1):
        eventually_sync(lambda: broker.metrics.counts["settlements_refused"] > 0)
        eventually_sync(lambda: broker.station.desk("chat").under_way == len(broker.station.desk("chat")) == 0)
    assert ran[:20] == list(range(20))
    assert len(ran) <= 26, "it noticed after a few"
    assert heard(subscription) == [str(n).encode() for n in range(19)]
    assert broker.do_qsize("chat") == 41
    assert sum(gone_on) > 10
    subscription.close()


def test_w2_a_key_that_is_paused_meanwhile_goes_on_later_where_it_stopped(
    broker: OrderedBroker, client: redis.Redis, prefix: str
) -> None:
    control, ran = KeyControl(broker.link), []

    def handle(message: Message, transaction: Transaction) -> None:
        number = message.json()["n"]
        ran.append(number)
        transaction.send(str(number).encode(), ("c",))
        if len(ran) == 20:
            assert control.pause("chat", "k") == "runs"

    declare(broker, handle)
    subscription = listen(client, prefix)
    send_all(broker, range(COUNT))
    with working(broker, threads=1):
        eventually_sync(lambda: client.hget(broker.keys("chat").heads, "k") == b"\xffpaused")
        eventually_sync(lambda: broker.station.desk("chat").under_way == len(broker.station.desk("chat")) == 0)
        assert len(ran) <= 26
        assert control.resume("chat", "k") == "resumed"
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert heard(subscription) == [str(n).encode() for n in range(COUNT)]
    subscription.close()


def test_w18_a_way_to_redis_that_breaks_loses_and_doubles_nothing(
    make_broker: Callable[..., OrderedBroker],
    proxy: Proxy,
    client: redis.Redis,
    prefix: str,
    gone_on: list[bool],
) -> None:
    journal, cut_off = Journal(), make_broker(redis_url=proxy.url, worker_lease=30.0)

    def handle(message: Message, transaction: Transaction) -> None:
        with journal.running("k"):
            transaction.send(str(message.json()["n"]).encode(), ("c",))
            journal.note("k", message.json()["n"])

    declare(cut_off, handle)
    subscription = listen(client, prefix)
    send_all(cut_off, range(400))
    proxy.faults.cut_replies = 0.1
    with working(cut_off):
        eventually_sync(lambda: client.hlen(cut_off.keys("chat").messages) == 0, within=40)
        proxy.heal()
    assert proxy.counts.cuts > 5
    assert sum(gone_on) > 100
    assert journal.overlaps == 0
    assert journal.of("k") == list(range(400))
    assert heard(subscription) == [str(n).encode() for n in range(400)]
    assert cut_off.metrics.counts["settlements_refused"] == 0
    subscription.close()


def test_w2_after_kill_9_nothing_that_had_ended_runs_again(
    broker: OrderedBroker,
    start: Start,  # noqa: F811
    log: Callable[[str], list[str]],  # noqa: F811
) -> None:
    """What a worker told Redis before it went on is told, though it never heard the answer."""
    broker.declare_queue("chat")
    process: subprocess.Popen[bytes] = start()
    for n in range(1500):
        send(broker, "k", n)
    for share in (200, 500, 800):
        eventually_sync(lambda share=share: len(set(log("end"))) > share, within=20)
        process.kill()
        process = start()
    eventually_sync(lambda: "k:1499" in log("end"), within=40)
    started = [int(name.removeprefix("k:")) for name in log("start")]
    assert sorted(set(started)) == list(range(1500))
    assert all(after in {before, before + 1} for before, after in pairwise(started)), "only the one that was running"
    assert len(started) <= 1503


def test_w13_another_key_waits_for_a_few_messages_of_the_hot_one_at_most(
    broker: OrderedBroker, gone_on: list[bool]
) -> None:
    ran: list[str] = []

    def handle(message: Message, _: Transaction) -> None:
        ran.append(message.json()["key"])
        if len(ran) % 50 == 0:
            send(broker, f"other{len(ran)}", 0)

    declare(broker, handle)
    send_all(broker, range(400))
    with working(broker, threads=1):
        eventually_sync(lambda: broker.do_qsize("chat") == 0)
    assert sum(gone_on) > 100
    for number in range(50, 400, 50):
        assert ran.index(f"other{number}") - number < 10


@pytest.mark.parametrize("of_each_message", [False, True])
def test_w6_a_start_that_is_noted_on_another_connection_loses_nothing(
    broker: OrderedBroker, gone_on: list[bool], of_each_message: bool
) -> None:
    """Redis may hear of the start of n+1 before it hears of the commit of n that this worker goes on from."""
    journal = Journal()
    logic = Chat(max_attempts=5 if of_each_message else 1)
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]), logic)
    for n in range(COUNT):
        message = to_dramatiq(task("k", n))
        broker.enqueue(message.copy(options={"max_retries": 0}) if of_each_message and n % 7 == 3 else message)
    with working(broker):
        eventually_sync(lambda: broker.do_qsize("chat") == 0, within=15)
    assert journal.of("k") == list(range(COUNT))
    assert any(gone_on) is of_each_message
