from __future__ import annotations

import threading
import time
from typing import Any

from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.parcel import enqueue_call, pack, seal
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, declare, working
from tests.tasks.sending import send, task

FEW = 40
"""What one worker holds already, with room to spare: a batch of prefetched messages and those that run."""


class Runs:
    """Which keys ran, in order."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._lock = threading.Lock()

    def note(self, message: Message) -> None:
        with self._lock:
            self.keys.append(message.json()["key"])

    def before(self, key: str, since: int) -> int:
        """How many ran from position ``since`` on before the first of ``key``."""
        return self.keys.index(key, since) - since


def fill(broker: OrderedBroker, key: str, count: int) -> None:
    for first in range(0, count, 500):
        letters = [seal(pack(to_dramatiq(task(key, n)))) for n in range(first, min(first + 500, count))]
        broker.link.call("enqueue", *enqueue_call(broker.keys("chat"), letters, 0))


def test_w13_a_key_with_twenty_thousand_waiting_messages_delays_no_other_key(broker: OrderedBroker) -> None:
    runs = Runs()

    def handle(message: Message, _: Transaction) -> None:
        time.sleep(0.0005)
        runs.note(message)

    declare(broker, handle, Chat(max_waiting=None))
    fill(broker, "crowd", 20_000)
    with working(broker, threads=2):
        eventually_sync(lambda: len(runs.keys) > 50)
        for late in ("x", "y", "z"):
            since = len(runs.keys)
            send(broker, late, 0)
            eventually_sync(lambda late=late: late in runs.keys)
            assert runs.before(late, since) < FEW
    assert runs.keys.count("crowd") < 15_000, "the crowd was still waiting"


def test_w13_a_crowd_of_retries_that_are_always_due_delays_no_other_key(broker: OrderedBroker) -> None:
    crowd, runs = 150, Runs()

    def handle(message: Message, _: Transaction) -> None:
        runs.note(message)
        if message.json()["key"] != "new":
            raise ValueError("again and again")

    declare(broker, handle, Chat(max_attempts=10_000, min_backoff=0.001, max_backoff=0.002))
    for key in range(crowd):
        send(broker, f"k{key}", 0)
    with working(broker):
        eventually_sync(lambda: len(runs.keys) > 3 * crowd, within=20)
        for n in range(3):
            since = len(runs.keys)
            send(broker, "new", n)
            eventually_sync(lambda since=since: "new" in runs.keys[since:])
            assert runs.before("new", since) <= crowd + FEW
        broker.client.delete(broker.keys("chat").messages, broker.keys("chat").delayed_messages)


def test_w13_keys_take_turns(broker: OrderedBroker) -> None:
    runs = Runs()
    declare(broker, lambda message, _: runs.note(message))
    for key in "abcd":
        fill(broker, key, 100)
    with working(broker, threads=1):
        eventually_sync(lambda: len(runs.keys) == 400, within=20)
    behind: dict[str, Any] = {key: [at for at, one in enumerate(runs.keys) if one == key] for key in "abcd"}
    for place in range(100):
        places = [behind[key][place] for key in "abcd"]
        assert max(places) - min(places) < FEW
