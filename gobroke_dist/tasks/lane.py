"""Runs the ``async def`` messages of one queue on the event loop: many at once, and none of them holds a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import redis
from dramatiq import Broker
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.backends.redis.shuttle import Shuttle
from gobroke_dist.backoff import doubling
from gobroke_dist.tasks.clerk import Clerk
from gobroke_dist.tasks.delivery import Delivered, Item, Settlement, Unplaced
from gobroke_dist.tasks.endings import acknowledged, rejected
from gobroke_dist.tasks.hooks import Deliveries
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.performer import Body, Performer
from gobroke_dist.tasks.scripts import script
from gobroke_dist.tasks.starts import Starts

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_LAST_WORDS = 2.0
_OWN_THREAD = frozenset({"dramatiq_abort", "django_dramatiq"})


def loop_for(middleware: Sequence[Middleware]) -> asyncio.AbstractEventLoop | None:
    """The loop on which messages may run; None: each needs a thread of its own.

    That is so without Dramatiq's AsyncIO middleware, and with a middleware that does something to the thread on which
    a message runs: one of those that are known to, or one with an attribute ``own_thread = True``.
    """
    thread = get_event_loop_thread()
    if thread is None or any(map(_needs_thread, middleware)):
        return None
    return thread.loop


def _needs_thread(middleware: Middleware) -> bool:
    package = type(middleware).__module__.partition(".")[0]
    return bool(getattr(middleware, "own_thread", package in _OWN_THREAD))


class Lane:
    """The messages of one queue that run on the event loop. It outlives consumers.

    Each trip to Redis tells it what is finished and brings new messages. One is under way at a time; it tells at most
    half of what may run, so that Redis settles one half while the loop runs the other.

    Args:
        broker: whose hooks are called, all of one message in one task.
        clerk: writes the calls and reads the answers.
        body: the actor's own coroutine function.
        loop: where all this runs.
        link: names the Redis.
        deliveries, starts: the middleware that is spoken to directly.
    """

    def __init__(
        self,
        broker: Broker,
        clerk: Clerk,
        body: Body,
        *,
        loop: asyncio.AbstractEventLoop,
        link: Link,
        deliveries: Deliveries,
        starts: Starts,
    ) -> None:
        self._broker = broker
        self._clerk = clerk
        self._desk = clerk.desk
        self._performer = Performer(broker, clerk.queue_name, body, loop)
        self._loop = loop
        self._client = connect(link.settings)
        self._shuttle = Shuttle(self._client, timeout=link.settings.redis_timeout)
        self._deliveries = deliveries
        self._starts = starts
        self._batch = max(1, clerk.prefetch // 2)
        self._running: dict[int, asyncio.Task[None]] = {}  # by fence
        self._trips: asyncio.Task[None] | None = None
        self._hungry = False

    # --- from other threads --------------------------------------------------------

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until one more message may run, ``timeout`` seconds at most."""
        return self._desk.wait_for_room(self._clerk.prefetch, timeout)

    def wake(self) -> None:
        """There may be something to fetch."""
        self._loop.call_soon_threadsafe(self._fetch)

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until nothing runs and everything is settled, ``timeout`` seconds at most."""
        return self._desk.wait_until_empty(timeout)

    def close(self) -> None:
        """End what still runs; it is tried again elsewhere. Tell Redis what is finished."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(_LAST_WORDS * 3)

    async def _close(self) -> None:
        self._performer.closing = True
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=_LAST_WORDS)
        trips = self._trips
        if trips is not None:
            await asyncio.wait([trips], timeout=_LAST_WORDS)
            trips.cancel()
        self._performer.close()
        await self._shuttle.close()
        await self._client.aclose()

    # --- trips ---------------------------------------------------------------------

    def _fetch(self) -> None:
        self._hungry = True
        self._go()

    def _go(self) -> None:
        if self._trips is None:
            self._trips = self._loop.create_task(self._make_trips(), name="lane")

    async def _make_trips(self) -> None:
        try:
            pause = _FIRST_PAUSE
            while self._hungry or self._desk.untold:
                self._hungry = False
                try:
                    await self._trip()
                    pause = _FIRST_PAUSE
                except (redis.RedisError, ConnectionClosed, OSError) as error:
                    log.warning("queue %s: %s; tried again in %.3g s", self._clerk.queue_name, error, pause)
                    self._desk.in_step, self._hungry = False, True
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            self._trips = None

    async def _trip(self) -> None:
        if not self._desk.in_step:
            await asyncio.to_thread(self._clerk.repair)
        call = self._clerk.call(batch=self._batch)
        if call is None:
            return
        [reply] = await self._shuttle.run([(script("exchange"), *call)])
        if isinstance(reply, Exception):
            log.info("queue %s: %s; what is in doubt is told again", self._clerk.queue_name, reply)
            self._desk.in_step, self._hungry = False, True
            return
        for item in self._clerk.heard(reply):
            self._start(item)

    # --- messages ------------------------------------------------------------------

    def _start(self, item: Item) -> None:
        message = self._clerk.open(item)
        if message is None:
            return
        message.on_loop = True
        self._running[message.ticket.fence] = self._loop.create_task(self._process(message))

    async def _process(self, message: Delivered) -> None:
        """As Dramatiq's worker thread does it."""
        try:
            if message.unplaced is not None and not await self._place(message, message.unplaced):
                return
            if self._must_be_noted(message):
                message.stolen = not await asyncio.to_thread(self._starts.note, message)
            await self._performer.perform(message)
            if message.stolen:
                self._clerk.disown([message.ticket])
                self._fetch()
            else:
                await self._settle(message)
        except Exception:
            log.exception("queue %s: processing message %s failed", self._clerk.queue_name, message)
        finally:
            self._running.pop(message.ticket.fence, None)

    def _must_be_noted(self, message: Delivered) -> bool:
        """Whether Redis must know that it starts, or be asked, and did not note it when it handed it out."""
        watch, ticket = self._clerk.watch, message.ticket
        noted = watch > 0 and (ticket.recovered or ticket.attempt >= watch)
        return self._starts.matters(message, noted=noted)

    async def _place(self, message: Delivered, unplaced: Unplaced) -> bool:
        """Give it its place; whether it may run now. In a thread: it is rare."""
        for pause in doubling(_FIRST_PAUSE, _LONGEST_PAUSE):
            try:
                return await asyncio.to_thread(self._clerk.place, message, unplaced)
            except (ConnectionClosed, redis.RedisError) as error:
                log.warning("queue %s: %s has no place yet: %s", self._clerk.queue_name, message, error)
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _settle(self, message: Delivered) -> None:
        signal, end = ("nack", rejected) if message.failed else ("ack", acknowledged)
        self._broker.emit_before(signal, message)
        settlement = end(self._broker, message)
        self._deliveries.forget(message)
        message.settlement = settlement
        followed = self._followed(settlement) if message.after_commit else None
        self._desk.finish(settlement)
        self._go()
        if followed is not None:
            await followed
        self._broker.emit_after(signal, message)
        message.clear_exception()

    def _followed(self, settlement: Settlement) -> Coroutine[Any, Any, None]:
        """Wait until what follows the commit has been taken on: so a message keeps its place among those that run."""
        told = asyncio.Event()
        settlement.told = told.set

        async def wait() -> None:
            await told.wait()
            if settlement.passed_on is not None:
                await asyncio.wrap_future(settlement.passed_on)

        return wait()
