from __future__ import annotations

import json
import time
from collections.abc import Callable

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import q_name, xq_name

from gobroke_dist.message import Message
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.dead_letters import DeadLetters
from gobroke_dist.tasks.key_control import KeyControl
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, Journal, declare, working
from tests.tasks.sending import send


class Faulty:
    """A handler that raises for the messages named in ``bad``, as long as they are."""

    def __init__(self, broker: OrderedBroker, **attributes: object) -> None:
        self.journal = Journal()
        self.bad = {("k", 1)}
        self.attempts: list[int] = []
        declare(broker, self._handle, Chat(max_attempts=2, **attributes))

    def _handle(self, message: Message, _: Transaction) -> None:
        body = message.json()
        if (body["key"], body["n"]) in self.bad:
            self.attempts.append(message.delivery.attempt)
            raise ValueError("secret words")
        self.journal.note(body["key"], body["n"])


@pytest.fixture
def dead(broker: OrderedBroker) -> DeadLetters:
    return DeadLetters(broker.link)


@pytest.fixture
def control(broker: OrderedBroker) -> KeyControl:
    return KeyControl(broker.link)


def send_all(broker: OrderedBroker, key: str, numbers: range) -> None:
    for n in numbers:
        send(broker, key, n, uuid=f"{key}{n}")


def test_w10_skip_dead_letters_and_goes_on(broker: OrderedBroker, dead: DeadLetters) -> None:
    faulty = Faulty(broker)
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
    [letter] = dead.latest("chat", 10)
    assert (letter.id, letter.reason, letter.error, letter.attempts, letter.key, letter.halts) == (
        "k1", "attempts", "ValueError", 2, "k", False,
    )  # fmt: skip
    assert abs(letter.died - time.time()) < 60


def test_w10_halt_key_makes_the_key_wait_while_others_go_on(
    broker: OrderedBroker, dead: DeadLetters, control: KeyControl
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        send_all(broker, "other", range(3))
        send_all(broker, "k", range(3, 5))
        eventually_sync(lambda: faulty.journal.of("other") == [0, 1, 2])
        # A handler is noted before its message is committed; until then its key is in the list as well.
        eventually_sync(lambda: len(control.deepest("chat", 10)) == 1)
        assert faulty.journal.of("k") == [0]
        [state] = control.deepest("chat", 10)
        assert (state.key, state.state, state.depth, state.head) == ("k", "halted", 3, "k1")
        assert dead.latest("chat", 1)[0].halts
        assert control.resume("chat", "k") == "halted"


def test_w11_a_halted_keys_dead_letter_is_requeued_at_its_original_place(
    broker: OrderedBroker, dead: DeadLetters
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(4))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        faulty.bad.clear()
        assert dead.requeue("chat", "k1") == "first"
        eventually_sync(lambda: faulty.journal.of("k") == [0, 1, 2, 3])
        assert dead.requeue("chat", "k1") == "gone"
    assert dead.count("chat") == 0
    assert broker.do_qsize("chat") == broker.client.hlen(broker.keys("chat").halted) == 0


def test_w11_a_requeued_message_has_all_of_its_attempts_again_and_may_halt_again(
    broker: OrderedBroker, dead: DeadLetters
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        dead.requeue("chat", "k1")
        eventually_sync(lambda: dead.count("chat") == 1)
        assert faulty.attempts == [1, 2, 1, 2]
        [letter] = dead.latest("chat", 10)
        assert (letter.attempts, letter.halts) == (2, True)
        faulty.bad.clear()
        dead.requeue("chat", letter.id)
        eventually_sync(lambda: faulty.journal.of("k") == [0, 1, 2])


def test_w11_a_skipped_dead_letter_is_requeued_behind_all_others_of_its_key(
    broker: OrderedBroker, dead: DeadLetters, control: KeyControl
) -> None:
    faulty = Faulty(broker)
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
        faulty.bad.clear()
        control.pause("chat", "k")
        send_all(broker, "k", range(3, 5))
        assert dead.requeue("chat", "k1") == "last"
        control.resume("chat", "k")
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2, 3, 4, 1])


def test_w11_discarding_a_halted_keys_dead_letter_lets_it_go_on(broker: OrderedBroker, dead: DeadLetters) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        assert dead.discard("chat", "k1")
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
    assert not dead.discard("chat", "k1")
    assert broker.client.hlen(broker.keys("chat").heads) == 0


def test_w10_skipping_a_halted_key_goes_on_and_keeps_the_dead_letter(
    broker: OrderedBroker, dead: DeadLetters, control: KeyControl
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        assert control.skip("chat", "k") == "released"
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
    [letter] = dead.latest("chat", 10)
    assert (letter.id, letter.halts) == ("k1", False)


def test_w10_halt_logic_runs_nothing_until_it_is_resumed(
    broker: OrderedBroker, dead: DeadLetters, control: KeyControl
) -> None:
    faulty = Faulty(broker, on_poison="halt_logic")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        assert control.stopped("chat") == "k1"
        send_all(broker, "other", range(3))
        faulty.bad.clear()
        assert dead.requeue("chat", "k1") == "first"
        broker.lease.renew()
        assert faulty.journal.entries == [("k", 0)]
        assert control.resume_all("chat")
        eventually_sync(lambda: len(faulty.journal.entries) == 6)
    assert faulty.journal.of("k") == faulty.journal.of("other") == [0, 1, 2]
    assert control.stopped("chat") is None
    assert not control.resume_all("chat")


def dashboard_requeues(broker: RedisBroker, queue: str, id_: str) -> None:
    """What dramatiq-dashboard 0.4.0 does: look, delete, enqueue a copy with an eta in the past and retries reset."""
    dead = xq_name(queue)
    message = dramatiq.Message.decode(broker.client.hget(f"{broker.namespace}:{dead}.msgs", id_))
    broker.client.zrem(f"{broker.namespace}:{dead}", 0, id_)
    broker.client.hdel(f"{broker.namespace}:{dead}.msgs", id_)
    options = {"eta": message.message_timestamp, "retries": 0}
    broker.enqueue(message.copy(queue_name=q_name(dead), options=options))


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_w11_a_stock_dashboards_requeue_of_a_halted_key_takes_its_original_place(
    broker: OrderedBroker, dead: DeadLetters, redis_url: str, kind: str
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    stock = RedisBroker(url=redis_url, namespace=broker.settings.namespace, middleware=[])
    stock.declare_queue("chat")
    send_all(broker, "k", range(4))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        faulty.bad.clear()
        dashboard_requeues(broker if kind == "ours" else stock, "chat", "k1")
        eventually_sync(lambda: faulty.journal.of("k") == [0, 1, 2, 3])
    assert broker.client.hlen(broker.keys("chat").halted) == broker.client.hlen(broker.keys("chat").heads) == 0
    stock.close()
    stock.client.close()


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_w11_a_stock_dashboards_requeue_of_a_skipped_message_runs_it_with_all_attempts(
    broker: OrderedBroker, dead: DeadLetters, redis_url: str, kind: str
) -> None:
    faulty = Faulty(broker)
    stock = RedisBroker(url=redis_url, namespace=broker.settings.namespace, middleware=[])
    stock.declare_queue("chat")
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
        dashboard_requeues(broker if kind == "ours" else stock, "chat", "k1")
        eventually_sync(lambda: dead.count("chat") == 1)
    assert faulty.attempts == [1, 2, 1, 2]
    stock.close()
    stock.client.close()


def test_w11_flush_deletes_no_dead_letter_and_releases_no_key(
    broker: OrderedBroker, dead: DeadLetters, control: KeyControl
) -> None:
    faulty = Faulty(broker, on_poison="halt_key")
    send_all(broker, "k", range(4))
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
    control.pause("chat", "held")
    send_all(broker, "held", range(2))
    broker.flush_all()
    assert broker.do_qsize("chat") == 0
    assert {one.key: (one.state, one.depth) for one in control.deepest("chat", 5)} == {
        "k": ("halted", 0),
        "held": ("paused", 0),
    }
    faulty.bad.clear()
    assert dead.requeue("chat", "k1") == "first"
    send_all(broker, "held", range(3, 4))
    assert control.resume("chat", "held") == "resumed"
    with working(broker):
        eventually_sync(lambda: faulty.journal.entries[1:] in ([("k", 1), ("held", 3)], [("held", 3), ("k", 1)]))


def test_w11_all_are_handled_in_the_order_of_their_deaths_page_by_page(
    broker: OrderedBroker, dead: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gobroke_dist.tasks.dead_letters._PAGE", 4)
    keys = broker.keys("chat")
    for n in range(11):
        broker.client.zadd(keys.dead, {f"m{n:02}": 1000 + n})
        broker.client.hset(keys.dead_messages, f"m{n:02}", b"{}")
    seen: list[str] = []

    def handle(id_: str) -> bool:
        seen.append(id_)
        return int(id_[1:]) % 3 > 0 and dead.discard("chat", id_)

    assert dead.handle_all("chat", handle) == 7
    assert seen == [f"m{n:02}" for n in range(11)]
    assert [one.id for one in dead.latest("chat", 3)] == ["m09", "m06", "m03"]


def test_w11_the_payload_is_shown_when_asked_for_and_never_listed(broker: OrderedBroker, dead: DeadLetters) -> None:
    faulty = Faulty(broker)
    send_all(broker, "k", range(3))
    with working(broker):
        eventually_sync(lambda: faulty.journal.of("k") == [0, 2])
    assert "secret" not in repr(dead.latest("chat", 5))
    found = dead.find("chat", "k1")
    assert found is not None
    letter, message = found
    assert letter == dead.latest("chat", 5)[0]
    assert json.loads(message["kwargs"]["message"]["text"]) == {"key": "k", "n": 1}
    assert message["options"]["error"] == "ValueError: secret words"
    assert dead.find("chat", "nobody") is None


def test_w11_what_another_tool_left_among_the_dead_letters_is_listed_and_can_be_discarded(
    broker: OrderedBroker, dead: DeadLetters, client: redis.Redis
) -> None:
    keys = broker.keys("chat")
    client.zadd(keys.dead, {"junk": 1000.0, "bare": 2000.0, "lost": 3000.0})
    client.hset(keys.dead_messages, "junk", b"\xff{")
    client.hset(keys.dead_messages, "bare", dramatiq.Message("chat", "chat", (), {}, {"retries": 7}).encode())
    assert [(one.id, one.reason, one.attempts) for one in dead.latest("chat", 9)] == [
        ("bare", "", 7),
        ("junk", "unreadable", 0),
    ]
    assert dead.requeue("chat", "junk") == "unreadable"
    assert dead.requeue("chat", "lost") == "gone"
    assert dead.discard("chat", "junk")
    assert dead.requeue("chat", "bare") == "last"
    assert client.hkeys(keys.dead_messages) == []


def test_w10_a_retried_message_of_an_unordered_logic_halts_the_logic_only(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    broker = make_broker()
    faulty = Faulty(broker, on_poison="halt_logic")
    faulty.bad = {(None, 0)}  # type: ignore[arg-type]
    send(broker, None, 0, uuid="u")
    with working(broker):
        eventually_sync(lambda: KeyControl(broker.link).stopped("chat") == "u")
    assert KeyControl(broker.link).deepest("chat", 5) == []
