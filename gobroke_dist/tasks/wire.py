"""One connection for one caller's scripts: without a pool between two calls, a trip takes two thirds of the time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import redis
import redis.asyncio
from redis.connection import Connection
from redis.exceptions import NoScriptError

from gobroke_dist.tasks.scripts import Argument, ScriptName, command, script


class Wire:
    """A thread's. It connects when it is used, and again after an error; not for two threads at once.

    Args:
        client: whose pool the connection comes from.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Connection | None = None

    def run(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, once. Raises what redis-py raises."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        try:
            return self._ask(self._connection, name, keys, args)
        except redis.ResponseError:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)

    @staticmethod
    def _ask(connection: Connection, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            connection.send_command("EVALSHA", *command(name, keys, args))
            return connection.read_response()
        except NoScriptError:
            connection.send_command("EVAL", script(name).source, len(keys), *keys, *args)
            return connection.read_response()


class AsyncWire:
    """The same for an event loop, and for one call at a time."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None

    async def run(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, once. Raises what redis-py raises."""
        if self._connection is None:
            self._connection = await self._pool.get_connection()
        try:
            return await self._ask(self._connection, name, keys, args)
        except redis.ResponseError:
            raise
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    @staticmethod
    async def _ask(connection: Any, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        try:
            await connection.send_command("EVALSHA", *command(name, keys, args))
            return await connection.read_response()
        except NoScriptError:
            await connection.send_command("EVAL", script(name).source, len(keys), *keys, *args)
            return await connection.read_response()
