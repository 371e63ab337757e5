"""Load while the primary fails: messages of several keys, for handlers of both colours."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from gobroke_dist.backends.redis.bus import RedisBus
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.registry import RedisRegistry
from gobroke_dist.client import Client
from gobroke_dist.errors import Unavailable
from gobroke_dist.logic import LogicBase, Tick
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.registry import Member
from gobroke_dist.settings import Settings
from gobroke_dist.tasks import actors
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.hooks import default_middleware
from gobroke_dist.tasks.producer import AsyncProducer
from gobroke_dist.tasks.transaction import Transaction
from tests.backends.places import LEASE, RedisPlace
from tests.eventually import eventually
from tests.tasks.conftest import Chat, declare, working
from tests.tasks.sending import task
from tests.tasks.test_lane import AsyncChat

KEYS = ("a", "b", "c", "d")
_PACE = 0.01


class Effects:
    """What handlers have sent in the step that settled their message: each effect is a message of its own.

    An effect's message may be handled twice, after its worker was in doubt; it is the same message then.
    """

    def __init__(self) -> None:
        self._seen: dict[str, list[tuple[int, str]]] = {}
        self._lock = threading.Lock()

    def note(self, message: Message, _: Transaction) -> None:
        content = message.json()
        with self._lock:
            self._seen.setdefault(content["key"], []).append((content["n"], message.uuid))

    def of(self, key: str) -> list[int]:
        """The numbers of a key's effects in order, each message once."""
        with self._lock:
            return [number for number, _ in dict.fromkeys(self._seen.get(key, ()))]


class Load:
    """Sends numbered messages, for each key one after another, and each until it is accepted."""

    def __init__(self, producer: AsyncProducer) -> None:
        self.accepted: dict[str, int] = {}
        self.refusals = 0
        self._producer = producer
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Send until ``stop``."""
        async with asyncio.TaskGroup() as group:
            for logic in ("thread", "loop"):
                for key in KEYS:
                    group.create_task(self._send_all(logic, key))

    def stop(self) -> None:
        """No more than what is being sent."""
        self._over.set()

    async def _send_all(self, logic: str, key: str) -> None:
        number = 0
        while not self._over.is_set():
            one = task(f"{logic}-{key}", number, logic=logic, uuid=f"{logic}-{key}-{number}")
            try:
                await self._producer.enqueue(one)
            except Unavailable:
                self.refusals += 1  # to send the same message again is safe
            else:
                number += 1
                self.accepted[f"{logic}-{key}"] = number
            await asyncio.sleep(_PACE)


async def survives(settings: Settings, fail: Callable[[], None], failed_over: Callable[[], bool]) -> None:
    """Let the primary fail under load. Every message that was accepted has its effect, once and in order.

    Args:
        settings: where.
        fail: ends the primary.
        failed_over: whether another has taken over.
    """
    effects = Effects()
    async with AsyncExitStack() as stack:
        broker = OrderedBroker(settings, middleware=default_middleware())
        stack.callback(broker.close)
        _declare_logics(broker, effects)
        client = connect(settings)
        stack.push_async_callback(client.aclose)
        producer = AsyncProducer(broker, client, settings, Metrics())
        producer.start()
        stack.push_async_callback(producer.close)
        check = await stack.enter_async_context(neighbours(settings))
        stack.enter_context(working(broker))
        load = Load(producer)
        sending = asyncio.create_task(load.run())
        await eventually(lambda: all(effects.of(key) for key in _lanes()))
        await asyncio.to_thread(fail)
        before = dict(load.accepted)
        await eventually(failed_over, within=30)
        await eventually(lambda: all(load.accepted[key] > before[key] + 5 for key in _lanes()), within=30)
        load.stop()
        await sending
        await eventually(lambda: all(len(effects.of(key)) == load.accepted[key] for key in _lanes()), within=30)
        for key in _lanes():
            assert effects.of(key) == list(range(load.accepted[key]))
        await check()


def _lanes() -> list[str]:
    return [f"{logic}-{key}" for logic in ("thread", "loop") for key in KEYS]


def _declare_logics(broker: OrderedBroker, effects: Effects) -> None:
    def handle(message: Message, transaction: Transaction) -> None:
        content = message.json()
        transaction.enqueue(task(content["key"], content["n"], logic="effects"))

    async def handle_on_loop(message: Message, transaction: Transaction) -> None:
        handle(message, transaction)

    def run_on_loop(_: LogicBase, argument: Message | Tick, transaction: Transaction) -> Awaitable[None]:
        assert isinstance(argument, Message)
        return handle_on_loop(argument, transaction)

    declare(broker, handle, Chat("thread"))
    actors.declare(broker, AsyncChat("loop"), run_on_loop)
    declare(broker, effects.note, Chat("effects"))


@contextlib.asynccontextmanager
async def neighbours(settings: Settings) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """A node with a client, and another that sends to it. Gives a check that the first goes on hearing and living."""
    place = RedisPlace(settings)
    commands = place.client()
    registry = RedisRegistry(commands, place.keys, LEASE)
    listener = place.client(blocking=True, beside=commands)
    listening, sending = RedisBus(commands, listener, place.keys, settings, place.metrics), place.bus()
    heard: list[bytes] = []
    await listening.open("n1", lambda arrival: heard.append(arrival.data))
    await registry.join(Member(node="n1", role="edge"))
    await registry.register(Client(uuid="ann", node="n1"))

    async def reached() -> bool:
        with contextlib.suppress(Unavailable):
            return await registry.renew() and await sending.publish("n1", b"after")
        return False

    async def check() -> None:
        await eventually(reached, within=10)
        await eventually(lambda: heard[-1:] == [b"after"])
        assert await registry.count() == 1

    yield check
    for bus in (listening, sending):
        await bus.close()
    await place.close()
