"""Script calls on a connection that is kept, each trip with all the calls of one caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError

from gobroke_dist.backends.redis.copies import Copies
from gobroke_dist.backends.redis.errors import translate
from gobroke_dist.backends.redis.scripts import Script
from gobroke_dist.backends.redis.track import Track, Word, packed

Call = tuple[Script, Sequence[str], Sequence[Word]]
"""A script, its KEYS and its ARGV."""


class Shuttle:
    """Makes one trip at a time, each with all the calls that it is given.

    Args:
        redis: says how to connect; a connection of its pool is kept until ``close``.
        timeout: seconds, as ``Track`` has it.
        copies: as ``Track`` has it.
    """

    def __init__(self, redis: redis.asyncio.Redis, *, timeout: float, copies: Copies | None = None) -> None:
        self._track = Track(redis, timeout=timeout, copies=copies)
        self._under_way = asyncio.Lock()

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Carry calls out in order, after those of earlier trips.

        Returns:
            for each call what Redis answered, or an error; ``RedisUnavailable``: it is not known to have been carried
            out.
        """
        async with self._under_way:
            try:
                answers = await self._track.trip([_packed("EVALSHA", call[0].sha, call) for call in calls])
                for at, call in enumerate(calls):
                    if isinstance(answers[at], NoScriptError):
                        [answers[at]] = await self._track.trip([_packed("EVAL", call[0].source, call)])
            except Exception as error:  # noqa: BLE001 - it is the answer
                answers = [error] * len(calls)
        return [translate(answer) if isinstance(answer, Exception) else answer for answer in answers]

    async def close(self) -> None:
        """Give the connection back to the pool."""
        async with self._under_way:
            await self._track.close()


def _packed(command: str, script: str, call: Call) -> bytes:
    _, keys, args = call
    return packed(command, script, len(keys), *keys, *args)
