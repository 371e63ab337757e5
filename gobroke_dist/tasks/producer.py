"""Enqueueing from an event loop: in the order of the calls, in batches, and never blocking."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dramatiq
import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.line import Line
from gobroke_dist.errors import QueueFull, RedisUnavailable
from gobroke_dist.keys import ClusterKeys, QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Task
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.actors import tick_message, to_dramatiq
from gobroke_dist.tasks.parcel import Parcel, enqueue_call, lane_of, pack, place_args
from gobroke_dist.tasks.scripts import Argument, ScriptName, queue_keys, script

log = logging.getLogger(__name__)

BATCH = 500
"""Messages in one script call: it must not keep Redis from others for long."""

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_LOST = (RedisConnectionError, RedisTimeoutError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Pending:
    parcel: Parcel
    accepted: asyncio.Future[None]


class AsyncProducer:
    """One process's way into the queues.

    Args:
        broker: whose hooks see each message; its own connection is not used.
        redis: a client for this event loop.
        settings: ``redis_timeout`` bounds one answer and, twice over, all tries of one batch; ``pending_limit``
            bounds what waits here; ``dedup_window``.
        metrics: counts ``enqueued`` and ``duplicates``.
    """

    def __init__(
        self, broker: dramatiq.Broker, redis: redis.asyncio.Redis, settings: Settings, metrics: Metrics
    ) -> None:
        self._broker = broker
        self._redis = redis
        self._line = Line(redis, name="the way to Redis", limit=BATCH, repeat=False)
        self._settings = settings
        self._window = int(settings.dedup_window * 1000)
        self._metrics = metrics
        self._pending: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write. Call it on the event loop that will enqueue."""
        self._writer = asyncio.create_task(self._write(), name="producer")

    async def close(self) -> None:
        """Flush what was taken, and stop."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
        self._fail_all(RedisUnavailable("the producer is closed"))

    def enqueue(self, task: Task) -> asyncio.Future[None]:
        """Take a task; its place in the order is that of this call.

        Returns:
            a future that is done when Redis has accepted the task, or had before. It raises
            ``RedisUnavailable`` when that is not known; sending the same message again is safe.

        Raises:
            QueueFull: too much is waiting to be written.
        """
        if self._closing or self._writer is None:
            raise RedisUnavailable("the producer is closed")
        if len(self._pending) >= self._settings.pending_limit:
            raise QueueFull("the way to Redis", self._settings.pending_limit)
        parcel = pack(to_dramatiq(task))
        self._broker.emit_before("enqueue", parcel.message, None)
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        accepted.add_done_callback(_seen)
        self._pending.append(_Pending(parcel, accepted))
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
        parcel = pack(tick_message(logic, nominal_ms, scheduler))
        queue = QueueKeys(self._settings.prefix, logic)
        keys = [*queue_keys(queue), lane_of(queue, parcel.key), ClusterKeys(self._settings.prefix).schedule]
        args: list[Argument] = [self._window, *place_args(parcel, len(keys) - 1), logic, nominal_ms]
        self._broker.emit_before("enqueue", parcel.message, None)
        [answer] = await self._insist([("fire", keys, args)])
        if isinstance(answer, Exception):
            raise _refusal(answer)
        if answer:
            self._broker.emit_after("enqueue", parcel.message, None)
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
                await self._wake.wait()
                self._wake.clear()
                while self._pending:
                    await self._flush()
        except Exception as error:
            log.exception("the producer failed")
            self._closing = True
            self._fail_all(RedisUnavailable(f"the producer failed: {error!r}"))

    async def _flush(self) -> None:
        """One batch: one script call per queue, so that what is resent can't overtake what follows it."""
        queues = self._batch()
        calls: list[_Call] = [
            ("enqueue", *enqueue_call(self._settings.prefix, [one.parcel for one in batch], self._window))
            for batch in queues.values()
        ]
        answers = await self._insist(calls)
        for batch, answer in zip(queues.values(), answers, strict=True):
            self._settle(batch, answer)

    def _batch(self) -> dict[str, list[_Pending]]:
        queues: dict[str, list[_Pending]] = {}
        for _ in range(min(BATCH, len(self._pending))):
            one = self._pending.popleft()
            queues.setdefault(one.parcel.queue, []).append(one)
        return queues

    def _settle(self, batch: list[_Pending], answer: Any) -> None:
        if isinstance(answer, Exception):
            _fail(batch, _refusal(answer))
            return
        self._metrics.count("enqueued", int(answer))
        self._metrics.count("duplicates", len(batch) - int(answer))
        for one in batch:
            if not one.accepted.done():
                one.accepted.set_result(None)
            self._broker.emit_after("enqueue", one.parcel.message, None)

    def _fail_all(self, error: Exception) -> None:
        batch = list(self._pending)
        self._pending.clear()
        _fail(batch, error)

    async def _insist(self, calls: Sequence[_Call]) -> list[Any]:
        """The answers, or for each call the error; the same calls are made again until the deadline."""
        deadline = time.monotonic() + 2 * self._settings.redis_timeout
        pause = _FIRST_PAUSE
        while True:
            sent = [self._line.run(script(name), keys, args, read=int) for name, keys, args in calls]
            answers = await asyncio.gather(*sent, return_exceptions=True)
            lost = next((answer for answer in answers if _is_lost(answer)), None)
            if lost is None or time.monotonic() + pause >= deadline:
                return answers
            log.warning("the same messages are sent again: %s", lost)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


_Call = tuple[ScriptName, Sequence[str], Sequence[Argument]]


def _is_lost(answer: object) -> bool:
    """Whether Redis may or may not have carried the call out."""
    return isinstance(answer, RedisUnavailable) and isinstance(answer.__cause__, _LOST)


def _refusal(error: Exception) -> Exception:
    return error if isinstance(error, RedisUnavailable) else RedisUnavailable(f"it refuses the message: {error}")


def _fail(batch: Sequence[_Pending], error: Exception) -> None:
    for one in batch:
        if not one.accepted.done():
            one.accepted.set_exception(error)


def _seen(future: asyncio.Future[None]) -> None:
    """Who does not await the future does not want to hear of its error."""
    if not future.cancelled():
        future.exception()
