"""A connection that is kept: the shortest way from an event loop to Redis and back.

For each trip a pipeline of the client library takes a connection from its pool, packs each word in Python, and sends
from a task of its own, which takes the loop another turn. All this costs more than the trip itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import redis.asyncio
from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from gobroke_dist.backends.redis.copies import Copies

Word = bytes | str | int


class Track:
    """Takes trips, each with commands that go out together. It is not for two trips at once.

    Args:
        redis: says how to connect; a connection of its pool is kept until ``close``.
        timeout: seconds for connecting, sending and the first answer, and, at least, for each other answer; None: any.
        copies: what has to be true of a trip that ``stores`` before its answers count.
    """

    def __init__(self, redis: redis.asyncio.Redis, *, timeout: float | None, copies: Copies | None = None) -> None:
        self._pool = redis.connection_pool
        self._copies = copies
        self._timeout = timeout
        self._read_timeout: float | None = None
        self._connection: AbstractConnection | None = None

    async def trip(self, commands: Sequence[bytes], *, stores: bool = True) -> list[Any]:
        """The answers to packed commands, in order; where Redis refuses one, its ``ResponseError``.

        A connection that was lost between two trips, or leads to where the primary is no more, is replaced before
        anything is sent. Whatever ends a trip early, the library closes the connection: no later trip finds an answer
        to this one.

        Raises:
            what redis-py raises: it is not known what has been carried out, or replicas do not have it.
        """
        if self._copies is None or not stores:
            return await self._answers(commands)
        *answers, copied = await self._answers((*commands, packed(*self._copies.command)))
        self._copies.check(copied)
        return answers

    async def close(self) -> None:
        """Give the connection back to the pool. Another trip would take one again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.socket_timeout = self._read_timeout
            await self._pool.release(connection)

    async def _answers(self, commands: Sequence[bytes]) -> list[Any]:
        try:
            async with asyncio.timeout(self._timeout) as limit:
                connection = await self._connected()
                await connection.send_packed_command(commands, check_health=False)
                answers: list[Any] = []
                for _ in commands:
                    if answers:
                        self._extend(limit)
                    answers.append(await _answer(connection))
                return answers
        except TimeoutError:
            raise RedisTimeoutError(f"no answer within {self._timeout:g} s") from None

    async def _connected(self) -> AbstractConnection:
        kept = self._connection
        if kept is not None:
            await self._pool.ensure_connection(kept)
            return kept
        connection: AbstractConnection = await self._pool.get_connection()
        self._connection = connection
        # A trip has a timeout; for a second one the library would send from a task of its own.
        self._read_timeout, connection.socket_timeout = connection.socket_timeout, None
        return connection

    def _extend(self, limit: asyncio.Timeout) -> None:
        """The next answer has its time as well. The timer is not set anew for each of a thousand, though."""
        end = limit.when()
        if self._timeout is not None and end is not None:
            now = asyncio.get_running_loop().time()
            if end - now < self._timeout:
                limit.reschedule(now + 1.5 * self._timeout)


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error


def packed(*words: Word) -> bytes:
    """A command as it is sent. Raises ``ValueError``: a word that UTF-8 has no bytes for."""
    said: Any = words  # hiredis names one word only
    command: bytes = pack_command(said)
    return command
