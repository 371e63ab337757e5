"""Enqueueing from an event loop: in the order of the calls, in batches, and never blocking."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import Any

import dramatiq
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.copies import wanted
from gobroke_dist.backends.redis.shuttle import Call, Shuttle
from gobroke_dist.errors import QueueFull, RedisUnavailable
from gobroke_dist.keys import ClusterKeys, QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Task
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.actors import tick_message, to_dramatiq
from gobroke_dist.tasks.announcing import Announcer
from gobroke_dist.tasks.limits import room_of
from gobroke_dist.tasks.outcomes import Outcomes
from gobroke_dist.tasks.parcel import enqueue_call, lane_of, pack_new, place_args, seal
from gobroke_dist.tasks.scripts import Argument, queue_keys, script
from gobroke_dist.tasks.waiting_line import Pending, WaitingLine, take

log = logging.getLogger(__name__)

_WAITING_BYTES = 64 << 20
_UNTOLD = 256

_FEW, _MANY, _TURNS = 8, 40, 3
"""Between so many messages, a trip waits for more of them, for so many turns of the loop."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_LOST = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)


class AsyncProducer:
    """One process's way into the queues.

    Args:
        broker: whose hooks see each message; its own connection is not used.
        redis: a client for this event loop.
        settings: ``redis_timeout`` bounds one answer and, twice over, all tries of one batch; ``pending_limit``
            bounds what waits here; ``full_timeout`` bounds how long it waits for room in a full queue.
        metrics: counts ``enqueued``, ``duplicates``, and ``queue_full``: messages that there was no room for.
    """

    def __init__(
        self, broker: dramatiq.Broker, redis: redis.asyncio.Redis, settings: Settings, metrics: Metrics
    ) -> None:
        self._broker = broker
        self._redis = redis
        self._shuttle = Shuttle(redis, timeout=settings.redis_timeout, copies=wanted(settings))
        self._settings = settings
        self._window = int(settings.dedup_window * 1000)
        self._metrics = metrics
        self._announcer = Announcer(broker)
        self._outcomes = Outcomes(self._announcer)
        self._pending: deque[Pending] = deque()
        self._bytes = 0
        self._full = WaitingLine(settings.full_timeout, settings.pending_limit // 2, self._outcomes.failed)
        self._wake = asyncio.Event()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write. Call it on the event loop that will enqueue."""
        script("enqueue")  # read from its file now, and not while the loop is to answer
        self._writer = asyncio.create_task(self._write(), name="producer")

    async def close(self) -> None:
        """Flush what was taken, and stop."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        self._fail_all(RedisUnavailable("the producer is closed"))
        await self._outcomes.down_to(0)
        await self._shuttle.close()

    def enqueue(self, task: Task) -> asyncio.Future[None]:
        """Take a task; its place in the order is that of this call.

        Returns:
            a future that is done when Redis has accepted the task, or had before. It raises
            ``RedisUnavailable`` when that is not known; sending the same message again is safe. It raises
            ``QueueFull`` when the logic's queue is full, with ``on_full="wait"`` after ``full_timeout``.

        Raises:
            QueueFull: too much is waiting to be written.
            TypeError, ValueError: something in the message is not JSON, or not text; others are not affected.
        """
        if self._closing or self._writer is None:
            raise RedisUnavailable("the producer is closed")
        waiting = len(self._pending) + len(self._full)
        if waiting >= self._settings.pending_limit or self._bytes > _WAITING_BYTES:
            raise QueueFull("the way to Redis", waiting)
        # Encoded here, so that the work is spread over the calls.
        parcel = pack_new(to_dramatiq(task))
        self._announcer.before_enqueue(parcel.message)
        sealed = seal(parcel)
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append(Pending(parcel.queue, sealed, parcel.message, accepted))
        self._bytes += sealed.size
        self._wake.set()
        return accepted

    async def fire(self, logic: str, nominal_ms: int, scheduler: str = "") -> bool:
        """Enqueue one firing of a PASSIVE logic, unless it, or a later one, was fired by anybody.

        Args:
            logic: its name.
            nominal_ms: the instant that the schedule names, in Unix milliseconds.
            scheduler: the node that fires, for people to read.

        Returns:
            whether this call fired it. After a cut reply that can be False although it did.

        Raises:
            RedisUnavailable: not known; calling again is safe.
        """
        parcel = pack_new(tick_message(logic, nominal_ms, scheduler))
        self._announcer.before_enqueue(parcel.message)
        queue = QueueKeys(self._settings.prefix, logic)
        keys = [*queue_keys(queue), lane_of(queue, parcel.key), ClusterKeys(self._settings.prefix).schedule]
        args: list[Argument] = [self._window, *place_args(parcel, len(keys) - 1), logic, nominal_ms]
        [answer] = await self._insist([(script("fire"), keys, args)])
        if isinstance(answer, Exception):
            raise _refusal(answer)
        if answer:
            self._announcer.after_enqueue(parcel.message)
        return bool(answer)

    async def redis_now_ms(self) -> int:
        """Redis' own clock, in Unix milliseconds. Raises ``RedisUnavailable``."""
        try:
            async with asyncio.timeout(self._settings.redis_timeout):
                seconds, micros = await self._redis.time()
        except (*_LOST, RedisError) as error:
            raise RedisUnavailable(str(error)) from error
        return int(seconds) * 1000 + int(micros) // 1000

    # --- the writer ----------------------------------------------------------

    async def _write(self) -> None:
        try:
            while self._pending or not self._closing:
                await self._woken()
                while self._pending:
                    await self._flush(self._batch())
                    await self._gathered()
                for queue, batch in self._full.due().items():
                    await self._flush({queue: batch})
        except Exception as error:
            log.exception("the producer failed")
            self._closing = True
            self._fail_all(_failure(error))

    async def _woken(self) -> None:
        """Wait for something to write; while queues are full, no longer than it takes to ask them again."""
        if not self._wake.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._full.pause()):
                    await self._wake.wait()
        self._wake.clear()

    async def _gathered(self) -> None:
        """While many come, let more of them come: a trip costs as much as a dozen messages."""
        before = _FEW
        for _ in range(_TURNS):
            waiting = len(self._pending)
            if not before < waiting < _MANY:
                return
            before = waiting
            await asyncio.sleep(0)

    async def _flush(self, queues: dict[str, list[Pending]]) -> None:
        """One batch: one script call per queue, so that what is resent can't overtake what follows it."""
        try:
            answers = await self._insist([self._call(queue, batch) for queue, batch in queues.items()])
        except BaseException as error:
            self._outcomes.failed(chain(*queues.values()), _failure(error))
            raise
        for (queue, batch), answer in zip(queues.items(), answers, strict=True):
            self._settle(queue, batch, answer)
        await self._outcomes.down_to(_UNTOLD)

    def _call(self, queue: str, batch: Sequence[Pending]) -> Call:
        keys, limit = QueueKeys(self._settings.prefix, queue), room_of(self._broker, queue).limit
        return script("enqueue"), *enqueue_call(keys, [one.sealed for one in batch], self._window, limit=limit)

    def _batch(self) -> dict[str, list[Pending]]:
        """Behind those of its queue that wait for room, a message waits as well."""
        queues: dict[str, list[Pending]] = {}
        for one in take(self._pending):
            self._bytes -= one.sealed.size
            if not self._full.follow(one):
                queues.setdefault(one.queue, []).append(one)
        return queues

    def _settle(self, queue: str, batch: list[Pending], answer: Any) -> None:
        if isinstance(answer, Exception):
            self._outcomes.failed(batch, _refusal(answer))
            return
        new, *refused = map(int, answer)
        self._metrics.count("enqueued", new)
        self._metrics.count("duplicates", len(batch) - new - len(refused))
        if not refused:
            self._outcomes.accepted(batch)
            return
        full = {number - 1 for number in refused}
        self._outcomes.accepted(one for index, one in enumerate(batch) if index not in full)
        late = [batch[index] for index in sorted(full)]
        self._metrics.count("queue_full", sum(not one.since for one in late))
        self._full.stand(late, room_of(self._broker, queue))

    def _fail_all(self, error: Exception) -> None:
        self._outcomes.failed([*self._full.leave(), *self._pending], error)
        self._pending.clear()

    async def _insist(self, calls: Sequence[Call]) -> list[Any]:
        """The answers, or for each call the error; the same calls are made again until the deadline."""
        deadline = time.monotonic() + 2 * self._settings.redis_timeout
        pause = 0.0  # a connection that was cut while nobody used it is noticed when it is used again
        while True:
            answers = await self._shuttle.run(calls)
            lost = next((answer for answer in answers if _is_lost(answer)), None)
            if lost is None or time.monotonic() + pause >= deadline:
                return answers
            log.warning("the same messages are sent again: %s", lost)
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)


def _is_lost(answer: object) -> bool:
    """Whether Redis may or may not have carried the call out."""
    return isinstance(answer, RedisUnavailable) and isinstance(answer.__cause__, _LOST)


def _refusal(error: Exception) -> Exception:
    return error if isinstance(error, RedisUnavailable) else RedisUnavailable(f"it refuses the message: {error}")


def _failure(error: BaseException) -> Exception:
    return RedisUnavailable(f"the producer failed: {error!r}")
