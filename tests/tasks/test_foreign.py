from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.bell import Bell
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.tasks.wire import Wire
from tests.eventually import eventually_sync
from tests.tasks.conftest import Journal, declare, working
from tests.tasks.sending import send, task
from tests.tasks.test_commit import note_scripts


@pytest.fixture
def journal(broker: OrderedBroker) -> Journal:
    made = Journal()
    declare(broker, lambda message, _: made.note("k", message.json()["n"]))
    return made


def push(client: redis.Redis, broker: OrderedBroker, id_: str, payload: bytes | None, side: str = "rpush") -> None:
    keys = broker.keys("chat")
    if payload is not None:
        client.hset(keys.messages, id_, payload)
    getattr(client, side)(keys.ready, id_)


@pytest.mark.parametrize("side", ["lpush", "rpush"])
def test_w17_an_id_that_a_tool_pushes_gets_the_place_that_its_key_has(
    broker: OrderedBroker, journal: Journal, client: redis.Redis, side: str
) -> None:
    for n in range(3):
        send(broker, "k", n)
    push(client, broker, "foreign", to_dramatiq(task("k", 3)).encode(), side)
    with working(broker):
        eventually_sync(lambda: len(journal.entries) == 4)
    assert journal.of("k") == [0, 1, 2, 3]
    assert broker.do_qsize("chat") == 0


def test_w17_a_pushed_message_without_a_key_is_noticed_by_an_idle_worker(
    broker: OrderedBroker, journal: Journal, client: redis.Redis
) -> None:
    with working(broker):
        eventually_sync(lambda: client.zcard(broker.keys("chat").heartbeats))
        push(client, broker, "foreign", to_dramatiq(task(None, 1)).encode())
        eventually_sync(lambda: journal.of("k") == [1])


def test_w17_junk_is_dead_at_once_and_disturbs_nothing(
    broker: OrderedBroker, journal: Journal, client: redis.Redis
) -> None:
    stranger = dramatiq.Message("chat", "nobody", (), {}, {}, message_id="stranger")
    shapeless = to_dramatiq(task("k", 0)).copy(kwargs={"message": 7}, message_id="shapeless")
    push(client, broker, "bytes", b"\xff\x00{")
    push(client, broker, "list", b"[]")
    push(client, broker, "stranger", stranger.encode())
    push(client, broker, "shapeless", shapeless.encode())
    push(client, broker, "nothing", None)
    send(broker, "k", 5)
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [5])
        broker.join("chat", timeout=5000)
    keys = broker.keys("chat")
    found: dict[bytes, Any] = {
        id_: json.loads(payload)["options"] for id_, payload in client.hgetall(keys.dead_messages).items()
    }
    assert {id_: options["dead_reason"] for id_, options in found.items()} == {
        b"bytes": "unreadable",
        b"list": "unreadable",
        b"stranger": "unknown_actor",
        b"shapeless": "invalid",
    }
    assert {options["attempts"] for options in found.values()} == {1}


def test_w17_an_id_that_is_pushed_again_while_it_runs_does_not_run_twice(
    broker: OrderedBroker, client: redis.Redis
) -> None:
    ran, entered, go_on = [], threading.Event(), threading.Event()

    def handle(message: Message, _: Transaction) -> None:
        ran.append(message.json()["n"])
        entered.set()
        go_on.wait(5)

    declare(broker, handle)
    send(broker, "k", 0, uuid="u")
    with working(broker):
        assert entered.wait(5)
        push(client, broker, "u", None)
        send(broker, "other", 1)
        eventually_sync(lambda: 1 in ran)
        go_on.set()
        broker.join("chat", timeout=5000)
    assert ran == [0, 1]


def test_w17_a_head_that_is_removed_by_hand_does_not_hold_its_key(
    broker: OrderedBroker, journal: Journal, client: redis.Redis
) -> None:
    for n in range(3):
        send(broker, "k", n, uuid=f"m{n}")
    client.hdel(broker.keys("chat").messages, "m0", "m1")
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [2])
    assert client.hlen(broker.keys("chat").heads) == 0


def test_w17_a_key_whose_head_was_purged_with_the_list_is_free_again(
    broker: OrderedBroker, journal: Journal, client: redis.Redis
) -> None:
    send(broker, "k", 0)
    client.delete(broker.keys("chat").ready, broker.keys("chat").messages)
    send(broker, "k", 1)
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [1])


def test_w17_what_a_stock_producer_sends_or_delays_is_processed(
    broker: OrderedBroker, journal: Journal, redis_url: str
) -> None:
    stock = RedisBroker(url=redis_url, namespace=broker.settings.namespace, middleware=[])
    stock.enqueue(to_dramatiq(task("k", 1)), delay=200)
    stock.enqueue(to_dramatiq(task("k", 0)))
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [0, 1])
    stock.client.close()


def test_w17_a_dead_letter_that_a_dashboard_requeues_with_an_old_eta_runs_at_once(
    broker: OrderedBroker, journal: Journal, client: redis.Redis
) -> None:
    message = to_dramatiq(task("k", 1)).copy(options={"eta": int(time.time() * 1000) - 5000, "retries": 0})
    push(client, broker, "again", message.encode())
    with working(broker):
        eventually_sync(lambda: journal.of("k") == [1])
        later = to_dramatiq(task("k", 2)).copy(options={"eta": int(time.time() * 1000) + 300})
        push(client, broker, "later", later.encode())
        started = time.monotonic()
        eventually_sync(lambda: journal.of("k") == [1, 2])
        assert time.monotonic() - started > 0.2


def test_w15_an_idle_worker_sends_no_command_but_its_renewals(
    make_broker: Callable[..., OrderedBroker], client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in this process: Redis itself counts what other tests' processes say while they end."""
    broker, journal, said = make_broker(worker_lease=3), Journal(), []
    for way in (Link, Wire):
        note_scripts(monkeypatch, way, said)
    arm = Bell.arm
    monkeypatch.setattr(Bell, "arm", lambda bell, longest: said.append("listen") or arm(bell, longest))
    declare(broker, lambda message, _: journal.note("k", message.json()["n"]))
    with working(broker):
        send(broker, "k", 0)
        eventually_sync(lambda: journal.of("k") == [0] and broker.do_qsize("chat") == 0)
        said.clear()
        eventually_sync(lambda: "renew" in said)  # by then the answer to the last settlement is here
        said.clear()
        eventually_sync(lambda: said.count("renew") >= 3, within=10)
        assert set(said) == {"renew"}
