"""Sends an audit's messages to a running deployment, and gathers what comes of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import redis

from gobroke_dist.audit.journal import Journal
from gobroke_dist.audit.load import Load, Order, sent
from gobroke_dist.audit.record import Effect, Entry
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.errors import RedisUnavailable, Unavailable
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Task
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer

_PAUSE = 0.1
_READ_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """How an audit is carried out.

    Attributes:
        load: what is sent.
        rate: messages in a second; 0: as fast as they are accepted.
        patience: seconds for which one message is offered, and for which nothing need happen, before it is given up.
        linger: seconds for which the record is read on, after all is done, for what comes too much.
    """

    load: Load
    rate: float = 0.0
    patience: float = 60.0
    linger: float = 3.0


class Audit:
    """One audit.

    Args:
        settings: of the application.
        logics: the names of its audited logics; they take turns, each with keys of its own.
        plan: how.
        journal: its record, empty.
        stream: the record's key.

    Attributes:
        record: every entry so far.
        accepted, finished: messages that the queues took, and those that had an effect.
        refusals: why messages were refused for the moment, with counts.
        metrics: the producer's: ``enqueued``, ``duplicates``.
    """

    def __init__(self, settings: Settings, logics: Sequence[str], plan: Plan, *, journal: Journal, stream: str) -> None:
        self.record: list[Entry] = []
        self.accepted = 0
        self.refusals: Counter[str] = Counter()
        self.metrics = Metrics()
        self._settings = settings
        self._logics = logics
        self._plan = plan
        self._journal = journal
        self._stream = stream
        self._effective: set[tuple[str, int]] = set()
        self._offset = 0.0
        self._lines = 0
        self._unreadable = False

    @property
    def finished(self) -> int:
        return len(self._effective)

    @property
    def complete(self) -> bool:
        """Whether every message has had an effect."""
        return self.finished >= self._plan.load.total

    def now(self) -> int:
        """The record's clock, in Unix milliseconds."""
        return int(time.monotonic() * 1000 + self._offset)

    def note(self, entry: Entry) -> None:
        """Write down what was done to the deployment."""
        self.record.append(entry)

    async def run(self) -> None:
        """Send everything, and wait until it is done, or until nothing has happened for too long.

        Raises:
            Unavailable: a message was refused for longer than the plan's patience, or the record can't be read.
            LineInvalid: the record holds a line that this version does not know.
        """
        self._offset = await self._clock_offset()
        async with AsyncExitStack() as stack:
            producer = await self._producer(stack)
            reader = asyncio.create_task(self._gather(), name="audit-reader")
            sending = asyncio.create_task(self._send_everything(producer), name="audit-sender")
            stack.push_async_callback(_cancelled, sending, reader)
            await asyncio.wait((sending, reader), return_when=asyncio.FIRST_COMPLETED)
            (reader if reader.done() else sending).result()
            await self._until_quiet(reader)

    async def _clock_offset(self) -> float:
        try:
            return await asyncio.to_thread(self._journal.now) - time.monotonic() * 1000
        except redis.RedisError as error:
            raise RedisUnavailable(f"the audit's record: {error}") from error

    async def _producer(self, stack: AsyncExitStack) -> AsyncProducer:
        broker = OrderedBroker(self._settings)
        stack.callback(broker.close)
        client = connect(self._settings)
        stack.push_async_callback(client.aclose)
        producer = AsyncProducer(broker, client, self._settings, self.metrics)
        producer.start()
        stack.push_async_callback(producer.close)
        return producer

    # --- sending -----------------------------------------------------------------

    async def _send_everything(self, producer: AsyncProducer) -> None:
        began = time.monotonic()
        keys = range(self._plan.load.keys)
        senders = [asyncio.create_task(self._send_all(producer, key, began)) for key in keys]
        try:
            await asyncio.gather(*senders)
        finally:
            await _cancelled(*senders)

    async def _send_all(self, producer: AsyncProducer, key: int, began: float) -> None:
        """The messages of one key, each when the one before is accepted: only then is their order defined."""
        load, rate = self._plan.load, self._plan.rate
        for number in range(load.messages):
            if rate:
                await asyncio.sleep(began + (number * load.keys + key) / rate - time.monotonic())
            order = load.order(self._stream, key, number)
            first_try = self.now()
            await self._send(producer, self._logics[key % len(self._logics)], order)
            self.accepted += 1
            self.record.append(sent(order, first_try))

    async def _send(self, producer: AsyncProducer, logic: str, order: Order) -> None:
        """The same message is offered until it is accepted."""
        message = Message(to_logic=logic, message_raw=order.model_dump_json(exclude_none=True))
        deadline = time.monotonic() + self._plan.patience
        while True:
            try:
                await producer.enqueue(Task(logic, order.key, message))
            except Unavailable as error:
                self.refusals[str(error)] += 1
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return

    # --- gathering ---------------------------------------------------------------

    async def _gather(self) -> None:
        """Read the record, as long as it can be read."""
        failing_since: float | None = None
        while True:
            try:
                entries = await asyncio.to_thread(self._journal.read)
                failing_since, self._unreadable = None, False
            except redis.RedisError as error:
                failing_since, self._unreadable = failing_since or time.monotonic(), True
                if time.monotonic() - failing_since > self._plan.patience:
                    raise RedisUnavailable(f"the audit's record can't be read: {error}") from error
                entries = []
            self.record += entries
            self._lines += len(entries)
            self._effective.update((one.key, one.number) for one in entries if isinstance(one, Effect))
            await asyncio.sleep(0 if entries else _READ_PAUSE)

    async def _until_quiet(self, reader: asyncio.Task[None]) -> None:
        """A record that can't be read is not quiet: what stands in it is not known, and so nothing is lost yet."""
        quiet_since, seen = time.monotonic(), -1
        while not reader.done():
            if self._lines != seen or self._unreadable:
                quiet_since, seen = time.monotonic(), self._lines
            limit = self._plan.linger if self.finished >= self.accepted else self._plan.patience
            if time.monotonic() - quiet_since > limit:
                return
            await asyncio.sleep(_PAUSE)
        reader.result()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
