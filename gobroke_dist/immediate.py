"""The outlet of what goes out at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol, cast

from gobroke_dist.bus import Bus
from gobroke_dist.dispatcher import Dispatcher
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task


class TaskProducer(Protocol):
    """Hands messages to WORKER logics, in the order of the calls."""

    def enqueue(self, task: Task) -> Awaitable[None]:
        """Take a place in the order now; the awaitable: Redis has accepted it. Raises ``Unavailable``."""
        ...


class ImmediateOutlet:
    """Everything takes its place in its stream at the call, so that order holds; ``settled`` waits for the answers.

    Args:
        bus: to other nodes.
        producer: to WORKER logics.
        dispatcher: to DISPATCHED logics.
        from_client: the message is a client's own: wait for a DISPATCHED logic's slot, which is back-pressure.
    """

    deferred = False

    def __init__(self, *, bus: Bus, producer: TaskProducer, dispatcher: Dispatcher, from_client: bool = False) -> None:
        self._bus = bus
        self._producer = producer
        self._dispatcher = dispatcher
        self._from_client = from_client
        self._sent: list[Awaitable[tuple[str, ...]]] = []
        self._accepted: list[Awaitable[object]] = []
        self._dispatched: list[tuple[str, Message]] = []

    def send(self, data: bytes, uuids: Sequence[str], groups: Sequence[str] = ()) -> None:
        self._sent.append(self._bus.send(data, uuids, groups))

    def publish(self, node: str, data: bytes) -> None:
        self._accepted.append(self._bus.publish(node, data))

    def broadcast(self, data: bytes) -> None:
        self._accepted.append(self._bus.broadcast(data))

    def enqueue(self, task: Task) -> None:
        self._accepted.append(self._producer.enqueue(task))

    def dispatch(self, logic: str, message: Message) -> None:
        if self._from_client:
            self._dispatched.append((logic, message))
        else:
            self._dispatcher.dispatch_soon(logic, message)

    async def settled(self) -> tuple[str, ...]:
        dispatched, self._dispatched = self._dispatched, []
        for logic, message in dispatched:
            await self._dispatcher.dispatch(logic, message)
        accepted, self._accepted = self._accepted, []
        sent, self._sent = self._sent, []
        if not accepted and len(sent) < 2:
            return await sent[0] if sent else ()
        results = await asyncio.gather(*sent, *accepted, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        gone = cast("list[tuple[str, ...]]", results[: len(sent)])
        return tuple(uuid for uuids in gone for uuid in uuids)
