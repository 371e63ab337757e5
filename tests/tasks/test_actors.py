from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import dramatiq
import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import PayloadInvalid
from gobroke_dist.logic import LogicBase, LogicType, Tick
from gobroke_dist.message import Message
from gobroke_dist.tasks import actors
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.hooks import default_middleware
from gobroke_dist.tasks.transaction import Transaction
from tests.eventually import eventually_sync
from tests.tasks.conftest import Chat, declare, working
from tests.tasks.sending import send, task


class Waiting(LogicBase):
    name = "waiting"
    logic_type = LogicType.WORKER
    order_by = "client"

    async def run_logic(self, message: Message) -> None: ...


class Clockwork(LogicBase):
    name = "clockwork"
    logic_type = LogicType.PASSIVE

    def run_tick(self, tick: Tick) -> None: ...


def test_an_async_logic_runs_on_the_event_loop_and_its_effects_are_committed(
    make_broker: Callable[..., OrderedBroker],
) -> None:
    broker = make_broker(middleware=default_middleware())
    seen: list[tuple[Message, asyncio.AbstractEventLoop]] = []
    done: list[int] = []

    async def run(logic: LogicBase, message: Message | Tick, transaction: Transaction) -> None:
        assert isinstance(message, Message)
        await asyncio.sleep(0)
        seen.append((message, asyncio.get_running_loop()))
        transaction.enqueue(task("k", 1))

    actors.declare(broker, Waiting(), run)
    declare(broker, lambda message, _: done.append(message.json()["n"]), Chat())
    message = Message(message_raw=b"\xff", from_client=Client("c", node="n", session="s"), metadata={"a": 1})
    broker.enqueue(actors.to_dramatiq(actors.Task("waiting", "client:c", message)))
    with working(broker):
        eventually_sync(lambda: done == [1])
    [(got, _)] = seen
    assert (got.uuid, got.message_raw, got.metadata) == (message.uuid, b"\xff", {"a": 1})
    assert got.from_client is not None
    assert got.from_client.session == "s"
    assert (got.delivery.attempt, got.delivery.recovered, got.delivery.fence) == (1, False, 1)


def test_a_passive_logic_gets_a_tick_with_its_nominal_time(broker: OrderedBroker) -> None:
    ticks: list[object] = []
    actors.declare(broker, Clockwork(), lambda _, tick, __: ticks.append(tick))
    broker.enqueue(actors.tick_message("clockwork", 86_400_000, "s1"))
    with working(broker):
        eventually_sync(lambda: ticks)
    assert ticks == [Tick(datetime(1970, 1, 2, tzinfo=UTC), "s1")]


@pytest.mark.parametrize(("owner", "attempts"), [("chat", 1), ("other", 3)])
def test_a_payload_that_does_not_validate_is_dead_at_once_and_one_that_a_handler_sends_is_retried(
    broker: OrderedBroker, owner: str, attempts: int
) -> None:
    def handle(message: Message, _: Transaction) -> None:
        raise PayloadInvalid(owner, "n", "is wrong")

    declare(broker, handle, Chat(max_attempts=3))
    send(broker, "k", 0, uuid="u")
    keys = broker.keys("chat")
    with working(broker):
        eventually_sync(lambda: broker.client.zcard(keys.dead))
    dead = dramatiq.Message.decode(broker.client.hget(keys.dead_messages, "u"))
    assert dead.options["attempts"] == attempts
