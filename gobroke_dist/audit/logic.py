"""The logics that an application adds to be audited."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from gobroke_dist.audit.journal import AsyncJournal, Journal
from gobroke_dist.audit.load import Order, Sign, Work
from gobroke_dist.audit.record import Booted, Effect, Ended, Started
from gobroke_dist.errors import CouldNotStartProcessor
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.operations import RunningOperations

log = logging.getLogger(__name__)

RECORD_URL = "GOBROKE_AUDIT_URL"

_OPEN_AT_ONCE = 4
"""Records that a process writes to: of the audit that runs, and of those before it that left messages behind."""


class PlannedFailure(Exception):
    """The message says that this attempt is to fail."""


class AuditedLogic(LogicBase):
    """What both logics below have in common: which messages they take, in which order, and what they write down.

    Args:
        name: the logic's name.
        effects: the logic that its effects are sent to, another one of these; None: itself.
    """

    logic_type = LogicType.WORKER
    min_backoff = 0.05
    max_backoff = 2.0
    max_attempts = 20
    payload = Order

    def __init__(self, name: str, *, effects: str | None = None) -> None:
        super().__init__(name)
        self._effects = effects or name

    @staticmethod
    def order_by(message: Message) -> str:
        """The key that the payload names."""
        return Order.model_validate_json(message.message_raw).key

    def _signs(self, work: Work, run: str) -> Iterator[Message]:
        for part in range(work.parts):
            sign = Sign(stream=work.stream, key=work.key, number=work.number, run=run, part=part)
            yield Message(to_logic=self._effects, message_raw=Order(sign=sign).model_dump_json())

    def _record_url(self) -> str:
        url = os.environ.get(RECORD_URL)
        if url:
            return url
        operations: Any = self._ask
        if not isinstance(operations, RunningOperations):
            raise CouldNotStartProcessor(f"the audit has no Redis for its record; set {RECORD_URL}")
        return operations.settings.redis_address


class AuditLogic(AuditedLogic):
    """Does nothing of use, in strict order per key, and writes down what it saw. ::

        broke.add_logic(AuditLogic())

    Its record goes to the application's own Redis, or to the one that ``GOBROKE_AUDIT_URL`` names, by a
    connection of its own. It costs nothing while no audit runs, and clients can't make it do anything.
    """

    def __init__(self, name: str = "audit", *, effects: str | None = None) -> None:
        super().__init__(name, effects=effects)
        self._journals: dict[tuple[int, str], Journal] = {}
        self._opening = threading.Lock()

    def run_logic(self, message: Message) -> None:
        order = _order_in(message)
        if order.work is not None:
            self._work(order.work, message)
        elif order.sign is not None:
            self._journal(order.sign.stream).write(_effect(order.sign, message))

    def _work(self, work: Work, message: Message) -> None:
        journal, run = self._journal(work.stream), uuid4().hex
        journal.write(_started(run, work, message))
        good = False
        try:
            time.sleep(work.milliseconds / 1000)
            for sign in self._signs(work, run):
                self.send_message(sign)
            good = _is_to_succeed(work, message)
        finally:
            journal.write(Ended(run, good, 0))
        if not good:
            raise PlannedFailure

    def _journal(self, stream: str) -> Journal:
        """This process's; a fork must not share its parent's connections."""
        name = (os.getpid(), stream)
        with self._opening:
            if name not in self._journals:
                self._journals[name] = Journal(self._record_url(), stream)
                self._journals[name].write(_booted())
                while len(self._journals) > _OPEN_AT_ONCE:
                    self._journals.pop(next(iter(self._journals))).close()
            return self._journals[name]


class AsyncAuditLogic(AuditedLogic):
    """The same as an ``async def`` handler. ::

        broke.add_logic(AsyncAuditLogic())

    All runs of a process share one event loop, which nothing in it blocks.
    """

    def __init__(self, name: str = "async_audit", *, effects: str | None = None) -> None:
        super().__init__(name, effects=effects)
        self._journals: dict[tuple[asyncio.AbstractEventLoop, str], AsyncJournal] = {}

    async def run_logic(self, message: Message) -> None:
        order = _order_in(message)
        if order.work is not None:
            await self._work(order.work, message)
        elif order.sign is not None:
            await (await self._journal(order.sign.stream)).write(_effect(order.sign, message))

    async def _work(self, work: Work, message: Message) -> None:
        journal, run = await self._journal(work.stream), uuid4().hex
        await journal.write(_started(run, work, message))
        good = False
        try:
            await asyncio.sleep(work.milliseconds / 1000)
            for sign in self._signs(work, run):
                await self.send_message(sign)
            good = _is_to_succeed(work, message)
        finally:
            await journal.write(Ended(run, good, 0))
        if not good:
            raise PlannedFailure

    async def _journal(self, stream: str) -> AsyncJournal:
        """This event loop's."""
        name = (asyncio.get_running_loop(), stream)
        journal = self._journals.get(name)
        if journal is None:
            journal = self._journals[name] = AsyncJournal(self._record_url(), stream)
            await journal.write(_booted())
            while len(self._journals) > _OPEN_AT_ONCE:
                await self._journals.pop(next(iter(self._journals))).close()
        return journal


def worker_name() -> str:
    """This process, as the record names it: its host and process id."""
    return f"{os.uname().nodename}:{os.getpid()}"


def _order_in(message: Message) -> Order:
    """What an audit asks for. What a client asks for is nothing: it must not choose what is written where."""
    if message.from_client is not None:
        log.warning("client %s sent a message to an audit; it is not obeyed", message.from_client.uuid)
        return Order()
    order: Order = message.payload
    return order


def _booted() -> Booted:
    return Booted(worker_name(), int(time.time() * 1000), 0)


def _started(run: str, work: Work, message: Message) -> Started:
    told = message.delivery
    return Started(run, work.key, work.number, worker_name(), told.fence, told.attempt, told.recovered, 0)


def _effect(sign: Sign, message: Message) -> Effect:
    told = message.delivery
    return Effect(
        *(uuid4().hex, sign.run, sign.key, sign.number, sign.part, message.uuid),
        *(told.fence, told.attempt, told.recovered, 0),
    )


def _is_to_succeed(work: Work, message: Message) -> bool:
    return message.delivery.attempt > work.failures
