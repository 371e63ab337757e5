"""One connection for one caller's scripts: without a pool between two calls, a trip takes two thirds of the time."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import hiredis
import redis
from redis.connection import Connection
from redis.exceptions import NoScriptError

from gobroke_dist.tasks.scripts import Argument, ScriptName, command, script


class Wire:
    """A thread's; an event loop has a ``Shuttle``. It connects when it is used, and again after an error.

    It is not for two threads at once.

    Args:
        client: whose pool the connection comes from.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Connection | None = None

    def run(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, once, when all that was sent before has been received. Raises what redis-py raises."""
        try:
            self.send(name, keys, args)
            return self.receive()
        except NoScriptError:
            return self._ask("EVAL", script(name).source, len(keys), *keys, *args)

    def send(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> None:
        """Send a call without waiting for its answer. Raises what redis-py raises; the connection is dropped then."""
        if self._connection is None:
            self._connection = self._pool.get_connection()
        packed = hiredis.pack_command(("EVALSHA", *command(name, keys, args)))
        try:
            self._connection.send_packed_command([packed], check_health=False)
        except BaseException:
            self.close()
            raise

    def receive(self) -> Any:
        """The answer to the oldest call that has none. Raises what redis-py raises.

        After anything but a refusal of Redis the connection is dropped, with all answers that are under way.
        """
        if self._connection is None:
            raise redis.ConnectionError("the connection is gone, and the answer with it")
        try:
            return self._connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            self.close()
            raise

    def _ask(self, *words: Argument) -> Any:
        assert self._connection is not None
        try:
            self._connection.send_command(*words)
        except BaseException:
            self.close()
            raise
        return self.receive()

    def close(self) -> None:
        """Drop the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                connection.disconnect()
            self._pool.release(connection)
