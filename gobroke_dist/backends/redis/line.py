"""Commands in one line: sent in the order of the calls, as few trips as possible, never more than one under way.

While a trip is under way new calls gather, so the busier the process, the larger the batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import redis.asyncio
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.copies import Copies
from gobroke_dist.backends.redis.errors import translate
from gobroke_dist.backends.redis.scripts import Script
from gobroke_dist.backends.redis.track import Track, Word, packed
from gobroke_dist.errors import QueueFull

T = TypeVar("T")

_BATCH_CALLS = 1000
_BATCH_BYTES = 4 << 20
_WAITING_BYTES = 64 << 20


@dataclass(slots=True)
class _Call(Generic[T]):
    command: bytes
    script: Script | None  # that Redis may not know
    words: tuple[Word, ...]  # that follow the script
    read: Callable[[Any], T]
    stores: bool
    future: asyncio.Future[T]

    def settle(self, reply: Any) -> None:
        if self.future.done():
            return
        try:
            if isinstance(reply, Exception):
                raise translate(reply)
            self.future.set_result(self.read(reply))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            _fail(self.future, error)

    def with_source(self) -> _Call[T]:
        assert self.script is not None
        return replace(self, command=packed("EVAL", self.script.source, *self.words), script=None)


class Line:
    """Takes calls from one event loop.

    Args:
        redis: says how to connect, and its read timeout bounds every wait; a connection of its pool is kept until
            ``close``.
        name: what is full, in the text of ``QueueFull``.
        limit: how many calls may wait; memory is bounded as well.
        repeat: whether every call may be carried out twice, so that a lost connection is worth a second try.
        copies: as ``Track`` has it.
    """

    def __init__(
        self, redis: redis.asyncio.Redis, *, name: str, limit: int, repeat: bool, copies: Copies | None = None
    ) -> None:
        timeout = redis.connection_pool.connection_kwargs.get("socket_timeout")
        self._track = Track(redis, timeout=timeout, copies=copies)
        self._name = name
        self._limit = limit
        self._repeat = repeat
        self._waiting: deque[_Call[Any]] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    def call(self, *command: Word, read: Callable[[Any], T]) -> asyncio.Future[T]:
        """Take a place in the line. The future: what ``read`` makes of the reply. It may be left unawaited.

        Raises:
            ValueError: at once: a word that UTF-8 has no bytes for.

        Raises (when awaited):
            RedisUnavailable: it is not known to have been carried out.
            QueueFull: too much waits; it was not sent.
        """
        return self._add(packed(*command), None, (), read, stores=False)

    def run(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Word],
        *,
        read: Callable[[Any], T],
        stores: bool = False,
    ) -> asyncio.Future[T]:
        """The same for a script, which is sent in full only to a server that does not know it.

        ``stores``: it counts as carried out only when ``copies`` have it.
        """
        # Packed here, so that a word that can't be is its caller's error and not the whole batch's.
        words = (len(keys), *keys, *args)
        return self._add(packed("EVALSHA", script.sha, *words), script, words, read, stores=stores)

    async def flush(self) -> None:
        """Wait until all that was taken is settled."""
        while self._task and not self._task.done():
            await asyncio.wait({self._task})

    async def close(self) -> None:
        """Wait until all that was taken is settled, and give the connection back to its pool."""
        await self.flush()
        await self._track.close()

    def _add(
        self, command: bytes, script: Script | None, words: tuple[Word, ...], read: Callable[[Any], T], *, stores: bool
    ) -> asyncio.Future[T]:
        size = len(command)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        waiting = len(self._waiting)
        if waiting >= self._limit or (waiting and self._bytes + size > _WAITING_BYTES):
            _fail(future, QueueFull(self._name, waiting))
            return future
        self._waiting.append(_Call(command, script, words, read, stores, future))
        self._bytes += size
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._drain())
        return future

    async def _drain(self) -> None:
        while self._waiting:
            batch = self._take()
            try:
                await self._carry_out(batch)
            except asyncio.CancelledError:
                for call in (*batch, *self._take_all()):
                    call.future.cancel()
                raise

    async def _carry_out(self, batch: Sequence[_Call[Any]]) -> None:
        try:
            replies = await self._send(batch)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the futures
            # Who waits behind a Redis that is silent has waited for it as long as the batch has.
            silent = self._take_all() if isinstance(error, RedisTimeoutError) else ()
            for call in (*batch, *silent):
                call.settle(error)
            return
        unknown = [call for call, reply in zip(batch, replies, strict=True) if _not_loaded(call, reply)]
        for call, reply in zip(batch, replies, strict=True):
            if not _not_loaded(call, reply):
                call.settle(reply)
        if unknown:
            await self._carry_out([call.with_source() for call in unknown])

    async def _send(self, batch: Sequence[_Call[Any]]) -> list[Any]:
        commands, stores = [call.command for call in batch], any(call.stores for call in batch)
        try:
            return await self._track.trip(commands, stores=stores)
        except RedisConnectionError:
            if not self._repeat:
                raise
            return await self._track.trip(commands, stores=stores)

    def _take(self) -> list[_Call[Any]]:
        batch = [self._pop()]
        size = len(batch[0].command)
        while self._waiting and len(batch) < _BATCH_CALLS and size + len(self._waiting[0].command) <= _BATCH_BYTES:
            batch.append(self._pop())
            size += len(batch[-1].command)
        return batch

    def _take_all(self) -> list[_Call[Any]]:
        return [self._pop() for _ in range(len(self._waiting))]

    def _pop(self) -> _Call[Any]:
        call = self._waiting.popleft()
        self._bytes -= len(call.command)
        return call


def _not_loaded(call: _Call[Any], reply: Any) -> bool:
    return isinstance(reply, NoScriptError) and call.script is not None


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as seen: nobody has to await it
