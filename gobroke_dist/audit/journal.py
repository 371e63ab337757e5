"""The record of an audit, as a stream in Redis: written by handlers, read by who judges.

It has connections of its own, past everything that is audited, and each line is in it before the handler goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Any

import redis
import redis.asyncio

from gobroke_dist.audit.record import Entry, decode, encode
from gobroke_dist.backends.redis.connection import connect, connect_sync
from gobroke_dist.settings import Settings

KEPT = 24 * 3600
"""Seconds for which a record that nobody deletes is there after its last line: who reads it may have been killed."""

_FIELD = b"e"
_PAGE = 2000
_PAUSE = 0.05
_SOCKET_TIMEOUT = 5.0


class Journal:
    """One stream. Safe to share between threads.

    Args:
        url: of the Redis that holds it.
        key: the stream's key.
        patience: seconds for which a line is tried, while Redis does not take it.
    """

    def __init__(self, url: str, key: str, *, patience: float = 60.0) -> None:
        self._client = connect_sync(_settings(url, key))
        self._key = key
        self._patience = patience
        self._last = "0-0"

    def write(self, *entries: Entry) -> None:
        """Append lines, in order. One whose answer is lost may be there twice; readers know each by its content.

        Raises:
            redis.RedisError: the stream did not take them in time.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                with self._client.pipeline(transaction=False) as pipe:
                    _append(pipe, self._key, entries)
                    pipe.execute()
            except redis.RedisError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)
            else:
                return

    def read(self, *, block: int = 100) -> Sequence[Entry]:
        """What is new since the last call, in order; it is removed from Redis by the call after that.

        Args:
            block: milliseconds to wait if there is nothing.

        Raises:
            redis.RedisError: Redis did not answer; call again.
            LineInvalid: a line of another version.
        """
        if self._last != "0-0":
            self._client.xtrim(self._key, minid=self._last, approximate=True)
        answer: Any = self._client.xread({self._key: self._last}, count=_PAGE, block=block)
        lines = answer[0][1] if answer else []
        found = [_entry(identifier, fields) for identifier, fields in lines]
        if lines:
            self._last = lines[-1][0].decode()
        return found

    def now(self) -> int:
        """The record's clock, in Unix milliseconds. Raises ``redis.RedisError``."""
        seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def discard(self) -> None:
        """Remove the stream if Redis answers, else leave it to its end; close the connections."""
        with contextlib.suppress(redis.RedisError):
            self._client.delete(self._key)
        self.close()

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._client.close()


class AsyncJournal:
    """The same stream, for who writes on an event loop, which no write blocks. Belongs to one loop.

    Args:
        url, key, patience: as of ``Journal``.
    """

    def __init__(self, url: str, key: str, *, patience: float = 60.0) -> None:
        self._client = connect(_settings(url, key))
        self._key = key
        self._patience = patience

    async def write(self, *entries: Entry) -> None:
        """Append lines, as ``Journal.write`` does. Raises ``redis.RedisError``."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                async with self._client.pipeline(transaction=False) as pipe:
                    _append(pipe, self._key, entries)
                    await pipe.execute()
            except redis.RedisError:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return

    async def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        await self._client.aclose()


def dump(record: Iterable[Entry]) -> Iterable[str]:
    """The record as lines of text, each with its time in front."""
    return (f"{entry.at} {encode(entry).decode()}\n" for entry in record)


def _settings(url: str, key: str) -> Settings:
    """Where the record is; the rest is as the environment has it."""
    return Settings(redis_url=url, prefix=key.partition(":")[0], redis_timeout=_SOCKET_TIMEOUT)


def _append(pipe: redis.client.Pipeline | redis.asyncio.client.Pipeline, key: str, entries: Iterable[Entry]) -> None:
    for entry in entries:
        pipe.xadd(key, {_FIELD: encode(entry)})
    pipe.expire(key, KEPT)


def _entry(identifier: bytes, fields: dict[bytes, bytes]) -> Entry:
    return decode(fields[_FIELD], int(identifier.partition(b"-")[0]))
