"""Script calls on a connection that is kept: the shortest way from an event loop to Redis and back.

For each trip a pipeline of the client library takes a connection from its pool, looks whether it is still sound, packs
each word in Python, and sends from a task of its own, which takes the loop another turn. All this costs more than the
trip itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.errors import translate
from gobroke_dist.backends.redis.scripts import Script

Call = tuple[Script, Sequence[str], Sequence[bytes | str | int]]
"""A script, its KEYS and its ARGV."""


class Shuttle:
    """Makes one trip at a time, each with all the calls that it is given.

    Args:
        redis: says how to connect; a connection of its pool is kept until ``close``.
        timeout: seconds for one trip, connecting included.
    """

    def __init__(self, redis: redis.asyncio.Redis, *, timeout: float) -> None:
        self._pool = redis.connection_pool
        self._timeout = timeout
        self._read_timeout: float | None = None
        self._connection: AbstractConnection | None = None
        self._under_way = asyncio.Lock()

    async def run(self, calls: Sequence[Call]) -> list[Any]:
        """Carry calls out in order, after those of earlier trips.

        Returns:
            for each call what Redis answered, or an error; ``RedisUnavailable``: it is not known to have been carried
            out.
        """
        async with self._under_way:
            try:
                answers = await self._trip([_packed(b"EVALSHA", call[0].sha, call) for call in calls])
                for at, call in enumerate(calls):
                    if isinstance(answers[at], NoScriptError):
                        [answers[at]] = await self._trip([_packed(b"EVAL", call[0].source, call)])
            except Exception as error:  # noqa: BLE001 - it is the answer
                answers = [error] * len(calls)
        return [translate(answer) if isinstance(answer, Exception) else answer for answer in answers]

    async def close(self) -> None:
        """Give the connection back to the pool."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.socket_timeout = self._read_timeout
            await self._pool.release(connection)

    async def _trip(self, commands: Sequence[bytes]) -> list[Any]:
        """Whatever ends it early, the library closes the connection: no later trip finds an answer to this one."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = self._connection or await self._connect()
                await connection.send_packed_command(commands, check_health=False)
                return [await _answer(connection) for _ in commands]
        except TimeoutError:
            raise RedisTimeoutError(f"no answer within {self._timeout:g} s") from None

    async def _connect(self) -> AbstractConnection:
        connection: AbstractConnection = await self._pool.get_connection()
        self._connection = connection
        # The trip has a timeout; for a second one the library would send from a task of its own.
        self._read_timeout, connection.socket_timeout = connection.socket_timeout, None
        return connection


def _packed(command: bytes, script: str, call: Call) -> bytes:
    _, keys, args = call
    words: Any = (command, script, len(keys), *keys, *args)
    packed: bytes = pack_command(words)
    return packed


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
