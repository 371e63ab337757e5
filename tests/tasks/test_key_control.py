from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
import redis

from gobroke_dist.message import Message
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.key_control import HALTED, PAUSED, KeyControl
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send


@pytest.fixture
def control(broker: OrderedBroker) -> KeyControl:
    return KeyControl(broker.link)


@pytest.fixture
def journal(broker: OrderedBroker) -> Journal:
    made = Journal()
    declare(broker, lambda message, _: made.note(message.json()["key"], message.json()["n"]))
    return made


def send_all(broker: OrderedBroker, key: str, numbers: range) -> None:
    for n in numbers:
        send(broker, key, n, uuid=f"{key}{n}")


def test_a_paused_key_holds_what_it_has_and_what_comes_while_others_go_on(
    broker: OrderedBroker, control: KeyControl, journal: Journal
) -> None:
    send_all(broker, "held", range(2))
    assert control.pause("chat", "held") == "paused"
    assert control.pause("chat", "held") == "already"
    assert control.pause("chat", "empty") == "paused"
    with working(broker):
        send_all(broker, "held", range(2, 4))
        send_all(broker, "empty", range(2))
        send_all(broker, "free", range(2))
        eventually_sync(lambda: journal.of("free") == [0, 1])
        assert len(journal.entries) == 2
        eventually_sync(lambda: control.count("chat") == 2)
        assert [(one.key, one.state, one.depth, one.head) for one in control.deepest("chat", 9)] == [
            ("held", "paused", 4, "held0"),
            ("empty", "paused", 2, "empty0"),
        ]
        assert control.resume("chat", "held") == "resumed"
        assert control.resume("chat", "empty") == "resumed"
        eventually_sync(lambda: journal.of("held") == [0, 1, 2, 3] and journal.of("empty") == [0, 1])
        assert control.resume("chat", "held") == "not paused"
    assert broker.client.hlen(broker.keys("chat").heads) == broker.client.scard(broker.keys("chat").paused) == 0


def test_a_key_that_is_paused_while_its_message_runs_stops_after_it(broker: OrderedBroker, control: KeyControl) -> None:
    journal, entered, go_on = Journal(), threading.Event(), threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        entered.set()
        go_on.wait(10)
        journal.note("k", message.json()["n"])

    declare(broker, handle)
    send_all(broker, "k", range(3))
    with working(broker):
        assert entered.wait(5)
        assert control.pause("chat", "k") == "runs"
        [state] = control.deepest("chat", 5)
        assert (state.state, state.depth, state.head) == ("running", 3, "k0")
        assert control.skip("chat", "k") == "runs"
        go_on.set()
        eventually_sync(lambda: control.deepest("chat", 5)[0].state == "paused")
        assert journal.of("k") == [0]
        control.resume("chat", "k")
        eventually_sync(lambda: journal.of("k") == [0, 1, 2])


def test_a_key_that_is_paused_while_its_message_is_retried_keeps_it_in_its_place(
    broker: OrderedBroker, control: KeyControl
) -> None:
    journal, good = Journal(), threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        if not good.is_set():
            raise ValueError("not yet")
        journal.note("k", message.json()["n"])

    declare(broker, handle, Chat(max_attempts=1000))
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: broker.client.hget(broker.keys("chat").deliveries, "k0"))
        control.pause("chat", "k")
        eventually_sync(lambda: control.deepest("chat", 5)[0].state == "paused")
        attempts = broker.client.hget(broker.keys("chat").deliveries, "k0")
        assert (control.deepest("chat", 5)[0].head, control.deepest("chat", 5)[0].depth) == ("k0", 3)
        broker.lease.renew()
        assert broker.client.hget(broker.keys("chat").deliveries, "k0") == attempts
        good.set()
        control.resume("chat", "k")
        eventually_sync(lambda: journal.of("k") == [0, 1, 2])


def test_skip_makes_the_first_message_a_dead_letter_and_goes_on(
    broker: OrderedBroker, control: KeyControl, journal: Journal
) -> None:
    send_all(broker, "k", range(3))
    assert control.skip("chat", "k") == "skipped"
    control.pause("chat", "k")
    assert control.skip("chat", "k") == "skipped"
    assert control.deepest("chat", 5)[0].depth == 1
    control.resume("chat", "k")
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [2])
    assert control.skip("chat", "k") == "nothing"
    letters = broker.client.hgetall(broker.keys("chat").dead_messages)
    assert {id_: json.loads(letter)["options"]["dead_reason"] for id_, letter in letters.items()} == {
        b"k0": "skipped",
        b"k1": "skipped",
    }


def test_a_key_that_halts_while_it_is_paused_needs_both_to_end(broker: OrderedBroker, control: KeyControl) -> None:
    journal, entered, go_on = Journal(), threading.Event(), threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        if message.json()["n"] == 0:
            entered.set()
            go_on.wait(10)
            raise ValueError("never")
        journal.note("k", message.json()["n"])

    declare(broker, handle, Chat(max_attempts=1, on_poison="halt_key"))
    send_all(broker, "k", range(3))
    with working(broker):
        assert entered.wait(5)
        control.pause("chat", "k")
        go_on.set()
        eventually_sync(lambda: control.deepest("chat", 5)[0].state == "halted")
        assert control.deepest("chat", 5)[0].depth == 2
        assert control.skip("chat", "k") == "released"
        assert control.deepest("chat", 5)[0].state == "paused"
        assert control.resume("chat", "k") == "resumed"
        eventually_sync(lambda: journal.of("k") == [1, 2])


def test_the_list_is_bounded_and_sorted_by_depth(
    broker: OrderedBroker, control: KeyControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobroke_dist.tasks.key_control._PAGE", 10)
    keys = broker.keys("chat")
    for n in range(600):
        broker.client.hset(keys.heads, f"k{n}", f"m{n}")
    for n in range(0, 600, 50):
        broker.client.rpush(keys.lane(f"k{n}"), *range(n + 1))
    broker.client.config_resetstat()
    found = control.deepest("chat", 3)
    used = broker.client.info("commandstats")
    assert [(one.key, one.depth) for one in found] == [("k550", 552), ("k500", 502), ("k450", 452)]
    assert control.count("chat") == 600
    assert not {"cmdstat_keys", "cmdstat_scan", "cmdstat_hgetall"} & set(used)


@pytest.mark.parametrize("mark", [PAUSED, HALTED + b"x"])
def test_no_message_can_pass_for_a_mark(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis, mark: bytes
) -> None:
    broker, journal = make_broker(), Journal()
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
    for n, uuid in enumerate((mark.decode("latin-1"), mark.decode("utf-8", "replace"), "paused")):
        send(broker, "k", n, uuid=uuid)
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [0, 1, 2])
